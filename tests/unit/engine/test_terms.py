"""What a start buys with: each setting and all else arrives as it was."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine.wires import garbled, wire

from batchgen.core.limits import Count, Share
from batchgen.engine.codec import UnreadableError
from batchgen.engine.terms import Terms, settings_of_start
from batchgen.settings import Settings

EVERY = Settings(
    concurrency=7, max_cost=Decimal("12.50"), budget=Decimal("3.000000001"), path="${hero}/${id}", poll_min=0.25,
    poll_max=7.125, max_new=9, max_failures=Share(Decimal("2.5")), max_flagged=Count(4), canary=2, max_attempts=3,
    max_in_doubt=6, give_up_after=90.5, job_timeout=12345.5, drain=10.0, min_free=100, downloads=3, endpoint="model",
    report="page", submit="wait",
)  # fmt: skip
TERMS = Terms(
    run="spring", folder=Path("/data/spring"), mark="m", outputs="s3://studio/out", base_url="https://api18.dev",
    account="f00d", catalog_version="8", tables="[models]\n", settings=EVERY, wait_for_balance=True,
    until=datetime(2026, 2, 1, tzinfo=UTC), capped=True, durations=[("hera", "k", 61.5)],
)  # fmt: skip


def test_every_setting_is_another_than_its_default_here() -> None:
    """So that a setting which is added to the program, and not to this test, is noticed."""
    assert [f.name for f in fields(Settings) if getattr(EVERY, f.name) == f.default] == []


@pytest.mark.parametrize("settings", [EVERY, Settings(), replace(EVERY, max_failures=Count(3), max_flagged=None)])
def test_all_terms_arrive(settings: Settings) -> None:
    terms = replace(TERMS, settings=settings)
    assert Terms.decoded(wire(terms.encoded())) == terms
    lean = replace(terms, until=None, outputs="", tables="", durations=[], capped=False, wait_for_balance=False)
    assert Terms.decoded(wire(lean.encoded())) == lean


@given(st.data())
def test_garbled_terms_are_unreadable_and_nothing_else(data: st.DataObject) -> None:
    content: Any = wire(data.draw(garbled(TERMS.encoded())))
    try:
        terms = Terms.decoded(content)
    except UnreadableError:
        return
    assert isinstance(terms.settings, Settings)


def test_the_limits_of_the_run_are_not_those_of_a_start() -> None:
    """The coordinator keeps them; a start that kept them too would stop at a part of what is allowed, or go beyond."""
    settings = settings_of_start(EVERY, 5)
    of_the_run = {"max_cost", "budget", "max_new", "max_failures", "max_flagged", "canary", "max_in_doubt"}
    assert all(getattr(settings, name) is None for name in of_the_run)
    assert settings.concurrency == 5
    assert settings_of_start(EVERY, 500).concurrency == 7
    assert settings.drain == 0  # it goes back to the coordinator, which waits
    others = [f.name for f in fields(Settings) if f.name not in of_the_run | {"concurrency", "drain"}]
    assert all(getattr(settings, name) == getattr(EVERY, name) for name in others)
