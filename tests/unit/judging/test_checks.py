"""What a file misses of what was ordered and expected."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.judging.checks import FLAGS, Expect, Ordered, flags_of
from batchgen.judging.look import Look
from batchgen.media.facts import UNKNOWN, Facts

NOTHING = Expect()
HASH = "00ff" * 4 + "102030"


def look(*, hash: str = HASH, **seen: bool) -> Look:  # noqa: A002 - the field's name
    return Look(**{"one_colour": False, "black": False, "frozen": False, **seen}, hash=hash)


def missed(parameters: dict[str, Any], *size: int, ms: int | None = None, scale: str | None = None) -> tuple[str, ...]:
    return flags_of(NOTHING, Ordered.of(parameters, scale), Facts(*size, duration_ms=ms), None, ())


@pytest.mark.parametrize(
    ("resolution", "size", "small"),
    [
        ("1k", (1024, 1024), False),
        ("1k", (1024, 576), False),
        ("1k", (960, 960), False),
        ("1k", (768, 768), True),
        ("2k", (2048, 1152), False),
        ("2k", (1024, 1024), True),
        ("720p", (1280, 720), False),
        ("720p", (720, 1280), False),
        ("720p", (720, 720), False),
        ("720p", (960, 960), False),
        ("720p", (1504, 640), False),
        ("720p", (854, 480), True),
        ("1080p", (1280, 720), True),
        ("480p", (832, 480), False),
        ("cinema", (1, 1), False),
    ],
)
def test_smaller_than_ordered(resolution: str, size: tuple[int, int], small: bool) -> None:
    assert missed({"resolution": resolution}, *size) == (("small",) if small else ())


@pytest.mark.parametrize(
    ("ratio", "size", "other"),
    [
        ("16:9", (1280, 720), False),
        ("16:9", (1360, 768), False),
        ("16:9", (832, 480), False),
        ("21:9", (1536, 640), False),
        ("16:9", (720, 1280), True),
        ("4:3", (1536, 1024), True),
        ("1:1", (1024, 1100), True),
        ("auto", (1, 9), False),
        ("0:1", (1, 9), False),
    ],
)
def test_another_aspect_than_ordered(ratio: str, size: tuple[int, int], other: bool) -> None:
    assert missed({"aspect_ratio": ratio}, *size) == (("aspect",) if other else ())


@pytest.mark.parametrize(
    ("seconds", "ms", "other"),
    [(5, 5042, False), (5, 4800, False), (5, 4000, True), (5, 6000, True), (15, 14400, False), (15, 13000, True)],
)
def test_another_duration_than_ordered(seconds: int, ms: int, other: bool) -> None:
    assert missed({"duration": seconds}, ms=ms) == (("duration",) if other else ())


def test_a_simulator_is_judged_by_its_scale() -> None:
    ordered = {"resolution": "2k", "aspect_ratio": "16:9"}
    assert missed(ordered, 384, 216) == ("small",)
    assert missed(ordered, 384, 216, scale="3/16") == ()
    assert missed(ordered, 192, 108, scale="3/16") == ("small",)
    assert missed(ordered, 64, 64, scale="0") == ()


def test_what_is_expected_stands_above_what_was_ordered() -> None:
    ordered = Ordered(lines=720, aspect=Fraction(16, 9), duration_ms=5000)
    facts = Facts(600, 600, 3000)
    assert flags_of(NOTHING, ordered, facts, None, ()) == ("small", "aspect", "duration")
    assert flags_of(Expect(min_side=600, aspect=False, duration=3.1), ordered, facts, None, ()) == ()
    assert flags_of(Expect(min_side=601), Ordered(), facts, None, ()) == ("small",)


def test_how_it_looks_counts_where_that_is_asked_for() -> None:
    seen = look(one_colour=True, black=True, frozen=True)
    assert flags_of(NOTHING, Ordered(), UNKNOWN, seen, (HASH,)) == ()
    asked = Expect(blank=False, black=False, frozen=False, unlike=1)
    assert flags_of(asked, Ordered(), UNKNOWN, seen, (HASH,)) == ("blank", "black", "frozen", "duplicate")
    assert flags_of(asked, Ordered(), UNKNOWN, None, (HASH,)) == ()
    assert flags_of(Expect(blank=True, black=True), Ordered(), UNKNOWN, seen, ()) == ()


@pytest.mark.parametrize(("other", "far"), [("00fe" + HASH[4:], 1), ("ffff" + HASH[4:], 8), (HASH[:16] + "502030", 8)])
def test_unlike_is_a_distance_in_bits_or_colour(other: str, far: int) -> None:
    for unlike, flags in ((far, ()), (far + 1, ("duplicate",))):
        assert flags_of(Expect(unlike=unlike), Ordered(), UNKNOWN, look(), (other,)) == flags


SIZES = st.none() | st.integers(0, 1 << 32)


@given(
    st.builds(Facts, width=SIZES, height=SIZES, duration_ms=SIZES),
    st.dictionaries(
        st.sampled_from(["resolution", "aspect_ratio", "duration"]),
        st.none() | st.integers() | st.text(max_size=6) | st.sampled_from(["720p", "16:9", "2k"]) | st.lists(st.none()),
    ),
)
def test_whatever_comes_is_judged(facts: Facts, parameters: dict[str, Any]) -> None:
    assert set(flags_of(NOTHING, Ordered.of(parameters), facts, None, ())) <= set(FLAGS)


# ---- what a manifest says ------------------------------------------------------------------------------------------


def test_checks_come_back_as_they_were_written() -> None:
    checks = {"min_side": 512, "aspect": False, "duration": 4.5, "blank": False, "unlike": 8}
    text = Expect.from_json(checks).to_text()
    assert text == '{"aspect":false,"blank":false,"duration":4.5,"min_side":512,"unlike":8}'
    assert Expect.from_text(text) == Expect.from_json(checks)
    assert Expect.from_json({"blank": None}).to_text() is None


@pytest.mark.parametrize(("checks", "decodes"), [({"min_side": 1}, False), ({"blank": True}, False)] + [
    ({name: False}, True) for name in ("blank", "black", "frozen")] + [({"unlike": 3}, True)])  # fmt: skip
def test_what_must_be_decoded_is_known(checks: dict[str, Any], decodes: bool) -> None:
    assert Expect.from_json(checks).decodes is decodes


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("min_side", 0, "must be a whole number from 1 to 100,000"),
        ("min_side", True, "must be a whole number"),
        ("unlike", 65, "from 1 to 64"),
        ("duration", 0, "must be a number of seconds above 0"),
        ("duration", True, "must be a number of seconds"),
        ("blank", "no", "must be true or false"),
        ("sharp", True, "`sharp` is not a check"),
    ],
)
def test_a_check_that_makes_no_sense_is_refused(name: str, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Expect.from_json({name: value})
