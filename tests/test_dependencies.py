"""The oldest dependencies that are tested are the lower bounds that are promised."""

import re
import tomllib

from support.running import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STUBS = "types-"
"""Type stubs follow what they describe and are wanted as new as they come."""


def requirements() -> set[str]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return {text for group in groups for text in group if not text.startswith((STUBS, "batchgen-api18["))}


WITHIN = {"aiohttp": "<3.15"}
"""What is used beneath its documented interface is bound to the series that was tested."""


def lower(text: str) -> str:
    return text.removesuffix("," + WITHIN.get(text.partition(">")[0], ""))


def test_every_dependency_has_a_lower_bound_and_no_upper_one_without_a_reason() -> None:
    bounds = [lower(text) for text in requirements()]
    assert [text for text in bounds if not re.fullmatch(r"[A-Za-z0-9-]+(\[[a-z0-9,]+\])?>=[0-9.]+", text)] == []


def test_the_oldest_run_takes_these_bounds() -> None:
    listed = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in listed if line and not line.startswith("#")] == sorted(
        re.sub(r"\[.*\]", "", lower(text)).replace(">=", "==")
        for text in requirements()  # a constraint has no extras
    )
