"""The sets of states: each state is where it must be, and a new one is nowhere until somebody has decided."""

import ast
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.running import ROOT

from batchgen.core import records
from batchgen.core.records import State, StateSet
from batchgen.journal import schema
from batchgen.session import summary

SETS = {name: value for name, value in vars(records).items() if isinstance(value, StateSet)}
PARTS = ("UNSENT", "LIVE", "DOUBTFUL", "ENDED")
BELONGS = {
    State.PENDING: "UNSENT UNBOUGHT",
    State.SUBMITTING: "LIVE UNSETTLED UNANSWERED BOUGHT",
    State.PROCESSING: "LIVE UNSETTLED COLLECTABLE BOUGHT PAID CHARGED EVER_CHARGED",
    State.READY: "LIVE UNSETTLED COLLECTABLE BOUGHT PAID CHARGED EVER_CHARGED COMPLETED",
    State.DONE: "ENDED FINAL BOUGHT PAID CHARGED EVER_CHARGED COMPLETED",
    State.FAILED: "ENDED FINAL CHARGED EVER_CHARGED UNSUCCESSFUL INCOMPLETE",
    State.REJECTED: "ENDED FINAL UNSUCCESSFUL INCOMPLETE",
    State.IN_DOUBT: "DOUBTFUL UNSETTLED FINAL UNANSWERED BOUGHT EVER_CHARGED",
    State.LOST: "ENDED FINAL BOUGHT PAID CHARGED EVER_CHARGED UNSUCCESSFUL INCOMPLETE",
    State.SKIPPED: "ENDED FINAL INCOMPLETE UNBOUGHT",
}
"""The sets that each state must be in."""


@pytest.mark.parametrize("state", State)
def test_each_state_is_in_the_sets_it_must_be_in(state: State) -> None:
    assert {name for name, states in SETS.items() if state in states} == set(BELONGS[state].split())


def test_the_first_sets_hold_every_state_once() -> None:
    assert sorted(state for part in PARTS for state in SETS[part]) == sorted(State)


@pytest.mark.parametrize("name", SETS)
def test_the_sql_of_a_set_means_the_same_states(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        found = {state for state in State if db.execute(f"SELECT ? IN {SETS[name].sql}", (state,)).fetchone() == (1,)}
    assert found == SETS[name]


def test_the_index_of_unsettled_items_is_of_this_set() -> None:
    assert f"WHERE state IN {records.UNSETTLED.sql};" in schema.SCHEMA


def test_the_summary_shows_every_state_that_a_run_leaves_items_in() -> None:
    assert sorted(summary.SHOWN_STATES) == sorted(records.FINAL)


_QUOTED = re.compile(rf"IN \(\s*'(?:{'|'.join(State)})'")
WRITTEN_OUT = {"core/records.py", "journal/schema.py", "session/summary.py", "virtual/soak.py"}
"""Where the sets are made; the tables, whose text is that of a version; an order, which is checked above; what is asked
for in a story."""


def sets_in(path: Path) -> Iterator[str]:
    """Yield the sets of states that a module writes out, in Python or in SQL."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            named = [ast.unparse(part) for part in node.elts if ast.unparse(part).startswith("State.")]
            if len(named) > 1:
                yield f"{node.lineno}: {', '.join(named)}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _QUOTED.search(node.value):
            yield f"{node.lineno}: {node.value}"


def test_no_other_module_writes_a_set_of_states_out() -> None:
    folder = ROOT / "batchgen"
    found = {path.relative_to(folder).as_posix(): list(sets_in(path)) for path in folder.rglob("*.py")}
    assert {name: sets for name, sets in found.items() if sets and name not in WRITTEN_OUT} == {}
