"""Picks as a CSV file: what was written comes back, and every fault is told at once."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.errors import ManifestError, UsageError
from batchgen.manifest import read_sheet
from batchgen.picks import NEEDED, Choice, Pick, PickedOutput, SheetImport, export_sheet, picked_outputs

NOW = "2026-11-26T08:00:00Z"
OUTPUTS = [("mug", "d1", n, f"files/mug@{n}.png", f"sha{n}") for n in (1, 2, 3)] + [
    ("pot", "d2", 1, "files/pot.png", "s")
]


def known(*picks: Pick) -> dict[tuple[str, int], PickedOutput]:
    return {(o.item, o.output): o for o in picked_outputs(OUTPUTS, {pick.key: pick for pick in picks})}


def imported(path: Path, outputs: dict[tuple[str, int], PickedOutput], now: str = NOW) -> list[Pick]:
    taken = SheetImport(lambda item, output: outputs.get((item, output)), now)
    read_sheet(path, NEEDED, taken.take)
    return taken.changes


def sheet(folder: Path, text: str) -> Path:
    path = folder / "picks.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_an_export_lists_every_output_and_what_was_said(tmp_path: Path) -> None:
    out = io.StringIO()
    said = Pick("mug", "d1", 2, "sha2", "keep", "=best, of all", 5, NOW)
    assert export_sheet(out, known(said).values()) == 4
    assert out.getvalue() == (
        "item_id,output,pick,reason,rating,at\r\nmug,1,,,,\r\n"
        f'mug,2,keep,"\'=best, of all",5,{NOW}\r\nmug,3,,,,\r\npot,1,,,,\r\n'
    )
    path = sheet(tmp_path, out.getvalue())
    assert imported(path, known(said)) == []
    assert imported(path, known(), "2027-01-01T00:00:00Z") == [said]


def test_a_pick_of_another_file_does_not_count() -> None:
    for outdated in (Pick("mug", "d0", 1, "sha1", "keep"), Pick("mug", "d1", 1, "sha0", "keep")):
        assert known(outdated)["mug", 1].pick is None
    assert known(Pick("mug", "d1", 1, "sha1", ""))["mug", 1].pick is None


def test_only_what_says_something_new_is_a_change(tmp_path: Path) -> None:
    before = known(Pick("mug", "d1", 1, "sha1", "keep", at=NOW), Pick("mug", "d1", 2, "sha2", "reject", at=NOW))
    path = sheet(tmp_path, "item_id;output;pick\nmug;1;keep\nmug;2;KEEP\nmug;3;\npot;1;reject\n;;\n")
    assert imported(path, before, "2026-11-27T08:00:00Z") == [
        Pick("mug", "d1", 2, "sha2", "keep", at="2026-11-27T08:00:00Z"),
        Pick("pot", "d2", 1, "s", "reject", at="2026-11-27T08:00:00Z"),
    ]


def test_an_empty_cell_takes_a_pick_back(tmp_path: Path) -> None:
    before = known(Pick("mug", "d1", 1, "sha1", "keep", "best", 5, NOW))
    path = sheet(tmp_path, "item_id\toutput\tpick\nmug\t1\t\n")
    assert imported(path, before, "2026-11-27T08:00:00Z") == [
        Pick("mug", "d1", 1, "sha1", "", at="2026-11-27T08:00:00Z")
    ]


@pytest.mark.parametrize(
    ("cell", "recorded"),
    [("", "2026-11-27T08:00:00Z"), (NOW, "2026-11-27T08:00:00Z"), ("2026-11-26T09:30:00Z", "2026-11-26T09:30:00Z")],
)
def test_a_changed_pick_does_not_keep_the_time_of_the_one_before(tmp_path: Path, cell: str, recorded: str) -> None:
    before = known(Pick("mug", "d1", 1, "sha1", "keep", at=NOW))
    path = sheet(tmp_path, f"item_id,output,pick,at\nmug,1,reject,{cell}\n")
    assert [pick.at for pick in imported(path, before, "2026-11-27T08:00:00Z")] == [recorded]


def faults(path: Path, outputs: dict[tuple[str, int], PickedOutput]) -> list[tuple[int, str]]:
    with pytest.raises(ManifestError) as caught:
        imported(path, outputs)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_every_fault_is_told_with_its_line(tmp_path: Path) -> None:
    path = sheet(
        tmp_path,
        "item_id,output,pick,rating,at,reason\nmug,1,kept,,,\nmug,4,keep,,,\nmug,x,keep,,,\n,1,keep,,,\n"
        'mug,1,keep,6,,\nmug,1,keep,5,soon,\nmug,2,keep,5,2026-13-01T08:00:00Z,"two\nlines"\n'
        f"mug,{'9' * 5_000},keep,,,\nmug,1,,,,\nmug,3,keep,,\nmug,3,keep,,,{'x' * 2_001}\n",
    )
    like = "`at` must be a time as in 2026-01-31T08:00:00Z, or empty"
    assert faults(path, known()) == [
        (2, "`pick` must be keep, reject or empty, not 'kept'"),
        (3, "there is no output 4 of mug on disk"),
        (4, "`output` must be the number of an output, not 'x'"),
        (5, "there is no output 1 of an item without an id on disk"),
        (6, "`rating` must be a whole number from 1 to 5, or empty, not '6'"),
        (7, f"{like}, not 'soon'"),
        (8, f"{like}, not '2026-13-01T08:00:00Z'"),
        (10, f"there is no output {'9' * 39}… of mug on disk"),
        (12, "this row has 5 cells, but there are 6 columns"),
        (13, "`reason` must have at most 2,000 characters, not 2,001"),
    ]


@pytest.mark.parametrize("second", ["keep", "reject", ""])
def test_two_rows_about_one_output_are_a_fault(tmp_path: Path, second: str) -> None:
    path = sheet(tmp_path, f"item_id,output,pick\nmug,1,reject\nmug,1,{second}\n")
    before = known(Pick("mug", "d1", 1, "sha1", "keep"))
    assert faults(path, before) == [(3, "line 2 is about output 1 of mug too")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the first line must name the columns"),
        ("item_id,pick\nmug,keep\n", "columns are missing: output"),
        ("item_id,output,pick,pick\nmug,1,keep,\n", "two columns are named `pick`"),
        ("\0", "this line contains the character U+0000: is the file UTF-16? save it as UTF-8"),
    ],
)
def test_a_file_without_the_columns_is_refused(tmp_path: Path, text: str, says: str) -> None:
    assert faults(sheet(tmp_path, text), known()) == [(1, says)]


def test_a_quote_that_was_left_open_swallows_nothing(tmp_path: Path) -> None:
    path = sheet(tmp_path, 'item_id,output,pick,reason\nmug,1,keep,"good\nmug,2,reject,\n')
    [(line, message)] = faults(path, known())
    assert (line, "is a quote left open here?" in message) == (2, True)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        imported(tmp_path / "none.csv", known())


CHOICES: tuple[Choice, ...] = ("keep", "reject", "")
REASONS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20) | st.text(
    "'= +@\t\r\n\u200bx", max_size=6
)
SAID = st.tuples(*(st.tuples(st.sampled_from(CHOICES), REASONS, st.none() | st.integers(1, 5)) for _ in OUTPUTS))


@given(SAID)
def test_what_was_exported_says_nothing_new_and_is_the_same_elsewhere(
    tmp_path_factory: pytest.TempPathFactory, said: tuple[tuple[Choice, str, int | None], ...]
) -> None:
    picks = [
        Pick(item, digest, n, sha256, *choice, at=NOW)
        for (item, digest, n, _, sha256), choice in zip(OUTPUTS, said, strict=True)
    ]
    folder = tmp_path_factory.mktemp("sheet")
    out = io.StringIO()
    export_sheet(out, known(*picks).values())
    path = sheet(folder, out.getvalue())
    assert imported(path, known(*picks)) == []
    elsewhere = known(*imported(path, known()))
    assert [(o.choice, o.pick and o.pick.rating) for o in elsewhere.values()] == [(p.pick, p.rating) for p in picks]
    # What is on one line there is as it was here, to the letter.
    again = io.StringIO()
    export_sheet(again, elsewhere.values())
    assert imported(sheet(folder, again.getvalue()), elsewhere) == []
    for pick, output in zip(picks, elsewhere.values(), strict=True):
        if pick.reason.isprintable() and pick.reason.strip() == pick.reason:
            assert (output.pick.reason if output.pick else "") == pick.reason
