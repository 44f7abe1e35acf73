"""What the page says of outputs, and the picks that follow."""

import json
from typing import Any

import pytest

from batchgen.core.errors import UsageError
from batchgen.page import Filter
from batchgen.picks import Pick, PickedOutput
from batchgen.viewer.said import All, Line, Said, read_all, read_lines

AT = "2026-01-31T08:00:00Z"
SHA = "ab" * 32
LINE = {"key": 7, "n": 2, "sha256": SHA, "pick": "keep", "rating": 0, "reason": ""}


def output(pick: Pick | None = None) -> PickedOutput:
    return PickedOutput("mug", "d1", 2, "files/mug@2.png", SHA, pick)


def picked(choice: Any, reason: str = "", rating: int | None = None, at: str = AT) -> Pick:
    return Pick("mug", "d1", 2, SHA, choice, reason, rating, at)


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (None, Said("keep", 0, ""), picked("keep")),
        (None, Said("", 0, ""), None),
        (None, Said(None, 4, None), picked("", "", 4)),
        (picked("keep", "soft", 3, "before"), Said("keep", 3, "soft"), None),
        (picked("keep", "soft", 3, "before"), Said("reject", None, None), picked("reject", "soft", 3)),
        (picked("keep", "soft", 3, "before"), Said(None, 0, ""), picked("keep")),
        (picked("keep", "soft", 3, "before"), Said("", 0, ""), picked("")),
    ],
)
def test_only_what_changes_becomes_a_pick(before: Pick | None, said: Said, after: Pick | None) -> None:
    assert said.of(output(before), AT) == after


def test_lines() -> None:
    assert read_lines(json.dumps({"picks": [LINE]}).encode()) == [Line(7, 2, SHA, Said("keep", 0, ""))]
    spaced = {**LINE, "pick": None, "rating": None, "reason": " two\n lines\t"}
    assert read_lines(json.dumps({"picks": [spaced]}).encode())[0].said == Said(None, None, "two lines")


def test_all_that_a_filter_shows() -> None:
    filter_ = {"text": "mug", "model": ["a", "b"], "rating": [0, 5], "pick": [], "unknown": ["x"]}
    body = {"filter": filter_, "most": 12, "pick": "reject", "rating": None, "reason": "soft"}
    where = Filter(text="mug", models=("a", "b"), ratings=(0, 5))
    assert read_all(json.dumps(body).encode()) == All(where, 12, Said("reject", None, "soft"))


@pytest.mark.parametrize(
    "change",
    [
        {"key": 0}, {"key": True}, {"key": "7"}, {"key": None}, {"key": 1.5}, {"key": 1 << 63}, {"n": 0}, {"n": -1},
        {"sha256": None}, {"sha256": 5}, {"pick": "maybe"}, {"pick": ["keep"]}, {"rating": 6}, {"rating": -1},
        {"rating": True}, {"rating": "5"}, {"reason": 5}, {"reason": "x" * 2001}, {"reason": "\ud800"},
        {"reason": "a\x00b"},
    ],
    ids=str,
)  # fmt: skip
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        read_lines(json.dumps({"picks": [{**LINE, **change}]}).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"picks": {}}', b'{"picks": [1]}', b"\xff", b"[" * 100_000])
def test_bodies_of_another_kind_are_refused(body: bytes) -> None:
    with pytest.raises(UsageError):
        read_lines(body)


@pytest.mark.parametrize(
    "change", [{"filter": None}, {"filter": {"model": [{}]}}, {"filter": {"pick": ["x"]}}, {"most": -1}, {"most": None}]
)
def test_filters_of_another_kind_are_refused(change: dict[str, Any]) -> None:
    body = {"filter": {}, "most": 5, "pick": "keep", **change}
    with pytest.raises(UsageError):
        read_all(json.dumps(body).encode())


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(UsageError, match="10,000"):
        read_lines(json.dumps({"picks": [1] * 10_001}).encode())
