"""Rows files: .csv by RFC 4180, .tsv with quotes where they are consistent, .jsonl with types, .txt line by line."""

import csv
import io
import json
import os
import re
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.running import PROMPTS

from batchgen.manifest.entry.row_lines import RowsError
from batchgen.manifest.entry.rows_file import CannotOpenError, open_rows
from batchgen.manifest.yaml.problems import Problems
from batchgen.manifest.yaml.reader import MAX_SCALAR

FOLDER = Path(__file__).parents[3]


def read(path: Path, content: str | bytes) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """The rows of a file, and its problems as `line: message`."""
    rows, problems, _ = read_and_warned(path, content)
    return rows, problems


def read_and_warned(path: Path, content: str | bytes) -> tuple[list[tuple[int, dict[str, Any]]], list[str], list[str]]:
    """The same with the warnings as well."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = Problems(path.with_name("manifest.yaml"))
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        with open_rows(path, problems) as opened:
            rows.extend(opened.rows)
    except RowsError:
        assert len(problems)
    found = (problems.error().problems, problems.warnings().shown)
    told, warned = ([f"{problem.line}: {problem.message}" for problem in some] for some in found)
    return rows, told, warned


# ---- csv ---------------------------------------------------------------------------------------------------------

CELLS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('",;\t\r\n'), max_size=12
)


@pytest.mark.thorough
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS).filter(any), max_size=6),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\r\n", "\n"]),
    everything=st.booleans(),
    bom=st.booleans(),
)
def test_what_pythons_csv_writes_is_read_back(
    rows: list[tuple[str, str, str]], delimiter: str, end: str, everything: bool, bom: bool, tmp_path: Path
) -> None:
    out = io.StringIO()
    # Python's writer leaves a lone CR bare where lines end in LF; bare, it would be a line end itself.
    bare = end == "\n" and any("\r" in cell for row in rows for cell in row)
    quoting: Any = csv.QUOTE_ALL if everything or bare else csv.QUOTE_MINIMAL
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("a", "b, c", "d"), *rows])
    found, problems = read(tmp_path / "r.csv", ("\ufeff" if bom else "") + out.getvalue())
    assert problems == []
    assert [tuple(row.values()) for _, row in found] == [
        tuple(cell.replace("\r\n", "\n") for cell in row) for row in rows
    ]
    lines = re.split("\r\n|\r|\n", out.getvalue())
    for line, row in found:
        # The line on which a record begins holds the begin of its first cell.
        first = next(iter(row.values())).replace('"', '""').split("\n")[0].split("\r")[0]
        assert lines[line - 1].lstrip('"').startswith(first.lstrip('"'))


def test_line_ends_that_a_checkout_turns_around_make_no_other_request(tmp_path: Path) -> None:
    text = 'a,b\n"two\nlines",1\n'
    unix, _ = read(tmp_path / "u.csv", text)
    dos, _ = read(tmp_path / "d.csv", text.replace("\n", "\r\n"))
    assert [row for _, row in unix] == [row for _, row in dos] == [{"a": "two\nlines", "b": "1"}]


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("a,b", ["a", "b"]),
        ("a;b", ["a", "b"]),
        ("a\tb", ["a", "b"]),
        (" a , b ", ["a", "b"]),
        ('"a,x";"b,y";c', ["a,x", "b,y", "c"]),
        ("alone", ["alone"]),
        ('"two\nlines",b', ["two\nlines", "b"]),
    ],
)
def test_the_delimiter_is_found_in_the_header(header: str, columns: list[str], tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(header + "\n", encoding="utf-8")
    with open_rows(path, Problems(path)) as rows:
        assert list(rows.columns or ()) == columns
        assert rows.cells


def test_lines_are_those_on_which_records_begin(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.csv", 'a,b\n1,"x\n\ny"\n\n,\n2,z')
    assert rows == [(2, {"a": "1", "b": "x\n\ny"}), (7, {"a": "2", "b": "z"})]
    assert problems == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,b\n1\n", "2: this row has 1 cell, but there are 2 columns"),
        ("a\n1,2\n", "2: this row has 2 cells, but there is 1 column"),
        ("a,b\n1,2,3\n", "2: this row has 3 cells, but there are 2 columns"),
        ("a,b,\n1,2,3\n", "1: column 3 has no name"),
        ("a,a\n1,2\n", "1: two columns are named `a`"),
        ("", "1: the first line must name the columns"),
        ("\n1,2\n", "1: the first line must name the columns"),
        ('a\n"x\ny\n', "2: this is not valid CSV (RFC 4180): unexpected end of data; is a quote left open here?"),
        (
            'a,b\n1,2\n"x"y,2\n',
            "3: this is not valid CSV (RFC 4180): ',' expected after '\"'; is a quote left open here?",
        ),
        ("a,b\n1,caf\xe9\n".encode("latin-1"), "2: the line is not UTF-8; save the file as UTF-8"),
        ("a\n" + "x" * (MAX_SCALAR + 1000) + "\n", "2: the line is longer than 1 MiB"),
    ],
)
def test_faults_of_csv(content: str | bytes, problem: str, tmp_path: Path) -> None:
    assert read(tmp_path / "r.csv", content)[1] == [problem]


def test_a_quote_left_open_is_not_read_to_the_end(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.csv", 'a,b\n1,"open\n' + "2,x\n" * 1_000_000)
    assert rows == []
    assert len(problems) == 1
    assert problems[0].startswith("2: this is not valid CSV (RFC 4180): field larger than field limit")


def test_a_cell_of_nearly_a_mebibyte(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.csv", f'a\n"{"x" * (MAX_SCALAR - 100)}"\n')
    assert problems == []
    assert len(rows[0][1]["a"]) == MAX_SCALAR - 100


def test_rows_with_a_fault_do_not_stop_the_others(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.csv", "a,b\n1\n2,3\n4\n5,6\n")
    assert [line for line, _ in rows] == [3, 5]
    assert len(problems) == 2


# ---- tsv, txt ----------------------------------------------------------------------------------------------------


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.tsv", '\ufeffa\tb\r\n"x\ty"\r\n\r\n1\t\r\n1\n')
    assert rows == [(2, {"a": '"x', "b": 'y"'}), (4, {"a": "1", "b": ""})]
    assert problems == ["5: this row has 1 cell, but there are 2 columns"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tsv_as_a_spreadsheet_quotes_it(end: str, tmp_path: Path) -> None:
    text = end.join(
        ["n\tPrompt", '1\t"A ""red"" cup"', '2\tA 12" plate', '"3"\t"tab\there,', 'and a line"', "4\tplain", ""]
    )
    rows, problems, warned = read_and_warned(tmp_path / "r.tsv", text)
    assert problems == warned == []
    assert [(line, row["Prompt"].replace("\r", "\n")) for line, row in rows] == [
        (2, 'A "red" cup'), (3, 'A 12" plate'), (4, "tab\there,\nand a line"), (6, "plain"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (['"whole"', '"half'], 3),
        (['"whole"', '"half" and half'], 3),
        (['"one "red" cup"', "two"], 2),
        (['"whole"', '"opens here', 'and "closes" there"'], 3),
    ],
)
def test_tsv_with_quotes_of_both_kinds_keeps_them_and_warns(cells: list[str], line: int, tmp_path: Path) -> None:
    text = "n\tPrompt\n" + "".join(f"{n}\t{cell}\n" for n, cell in enumerate(cells))
    rows, problems, warned = read_and_warned(tmp_path / "r.tsv", text)
    assert problems == []
    assert [row["Prompt"] for _, row in rows] == cells
    assert len(warned) == 1
    assert "cells of this file begin with a quote" in warned[0]


def test_tsv_where_no_cell_is_quoted_as_a_whole_warns_of_nothing(tmp_path: Path) -> None:
    cells = ['"Hello" she said', 'a "b"', '"', "c"]
    rows, problems, warned = read_and_warned(tmp_path / "r.tsv", "Prompt\tn\n" + "".join(f"{c}\t1\n" for c in cells))
    assert problems == warned == []
    assert [row["Prompt"] for _, row in rows] == cells


def test_the_first_look_at_a_tsv_holds_a_line_at_a_time(tmp_path: Path) -> None:
    """A quote that is never closed must not gather the file behind it."""
    (tmp_path / "r.tsv").write_text("a\tb\n" + '"x\ty\n' + ("x\t" + "y" * 2000 + "\n") * 10_000, encoding="utf-8")
    tracemalloc.start()
    try:
        with open_rows(tmp_path / "r.tsv", Problems(tmp_path)) as opened:
            assert next(opened.rows) == (2, {"a": '"x', "b": "y"})
        assert tracemalloc.get_traced_memory()[1] < 8 * MAX_SCALAR
    finally:
        tracemalloc.stop()


def test_txt_has_a_line_a_row(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.txt", '\ufeffone, "two"\r\n\r\n   \n\tthree  \nfour')
    assert rows == [(1, {"line": 'one, "two"'}), (4, {"line": "\tthree  "}), (5, {"line": "four"})]
    assert problems == []


LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0") | st.sampled_from(" \t\u3000"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=6), end=st.sampled_from(["\n", "\r\n", "\r"]), closed=st.booleans())
def test_a_line_of_txt_comes_as_it_is(lines: list[str], end: str, closed: bool, tmp_path: Path) -> None:
    content = "\ufeff" + end.join(lines) + (end if closed else "")
    rows, problems = read(tmp_path / "r.txt", content)
    assert problems == []
    assert [(line, row["line"]) for line, row in rows] == [
        (number, line) for number, line in enumerate(lines, 1) if line and not line.isspace()
    ]


# ---- jsonl -------------------------------------------------------------------------------------------------------


def apart(row: dict[str, Any]) -> bool:
    """Whether no two names of a row look the same."""
    return len({normalize("NFC", name) for name in row}) == len(row)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.thorough
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(TEXTS, JSON, max_size=4).filter(apart), max_size=4), ascii_only=st.booleans())
def test_jsonl_keeps_types(rows: list[dict[str, Any]], ascii_only: bool, tmp_path: Path) -> None:
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    found, problems = read(tmp_path / "r.jsonl", content)
    assert problems == []
    assert found == [(n, {normalize("NFC", name): row[name] for name in row}) for n, row in enumerate(rows, 1)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "Expecting property name enclosed in double quotes at column 2"),
        ("[1]", "each line must be a JSON object"),
        ('{"a":1} x', "Extra data"),
        ('{"a":1,"a":2}', "the key `a` appears twice in this line"),
        ('{"a":Infinity}', "Infinity is not valid JSON"),
        ('{"a":' + "9" * 5000 + "}", "a number that is too long"),
        ('{"a":' + "[" * 100_000, "nested too deep"),
        ("\x01", "this is not valid JSON"),
        ('{"a":["\\u0000"]}', "contains the character U+0000"),
        ('{"é":1,"e\u0301":2}', "the key `é` appears twice"),
    ],
)
def test_faults_of_jsonl(line: str, problem: str, tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.jsonl", f'{{"x":1}}\n{line}\n{{"x":2}}\n')
    assert [number for number, _ in rows] == [1, 3]
    assert len(problems) == 1
    assert problems[0].startswith("2: ")
    assert problem in problems[0]


# ---- what looks like text and is none ----------------------------------------------------------------------------

UTF_16 = "contains the character U+0000: is the file UTF-16? save it as UTF-8"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "txt"])
@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_refused(suffix: str, order: str, tmp_path: Path) -> None:
    rows, problems = read(tmp_path / f"r.{suffix}", "line\none\ntwo\n".encode(order))
    assert rows == []
    assert problems == [f"1: this line {UTF_16}"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "txt"])
def test_a_sparse_file_is_refused_at_once(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"r.{suffix}"
    path.write_bytes(b'{"a":1}\n')
    os.truncate(path, 1 << 40)
    problems = Problems(tmp_path)
    with suppress(RowsError), open_rows(path, problems) as opened:
        list(opened.rows)
    assert [(p.line, p.message) for p in problems.error().problems][-1] == (2, f"this line {UTF_16}")


def test_a_huge_line_without_an_end_is_refused_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes(b"x" * (64 * MAX_SCALAR))
    problems = Problems(tmp_path)
    with pytest.raises(RowsError), open_rows(path, problems) as opened:
        list(opened.rows)
    (problem,) = problems.error().problems
    assert (problem.line, problem.message, problem.quoted) == (1, "the line is longer than 1 MiB", "")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("sep=;", "`sep=` is a hint for spreadsheets; remove this line"),
        ("# exported on Monday", "this looks like a comment; remove it"),
        ("# exported, on Monday", "this looks like a comment; remove it"),
        ("#exported", "this looks like a comment; remove it"),
        ("\u200bPrompt,n", "column 1 contains an invisible character (U+200B)"),
        ("\ufeff\ufeffPrompt,n", "column 1 contains an invisible character (U+FEFF)"),
        ("n,Pro\u00admpt", "column 2 contains an invisible character (U+00AD)"),
        ("é,n,e\u0301", "two columns are named `é`"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_header_that_is_none(header: str, says: str, suffix: str, tmp_path: Path) -> None:
    if suffix == "tsv":
        header = header.replace(",", "\t")
    rows, problems = read(tmp_path / f"r.{suffix}", f"{header}\n1,2,3\n")
    assert rows == []
    assert len(problems) == 1
    assert problems[0].startswith("1: ")
    assert says in problems[0]


def test_a_column_of_numbers_may_have_a_hash_for_a_name(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.csv", "#,Prompt\n1,A cup\n")
    assert problems == []
    assert rows == [(2, {"#": "1", "Prompt": "A cup"})]


def test_a_lone_cr_ends_a_line_in_csv_too(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.csv", 'a,b\r1,"two\nlines"\r2,x')
    assert problems == []
    assert rows == [(2, {"a": "1", "b": "two\nlines"}), (4, {"a": "2", "b": "x"})]


def test_lines_that_end_in_cr_may_be_many(tmp_path: Path) -> None:
    lines = ["x" * 1000] * 3000
    rows, problems = read(tmp_path / "r.txt", "\r".join(lines))
    assert problems == []
    assert [row["line"] for _, row in rows] == lines


# ---- files -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    problems = Problems(tmp_path / "m.yaml")
    (tmp_path / "folder.csv").mkdir()
    for name, says in [
        ("none.csv", "there is no file"),
        ("folder.csv", "is not a file"),
        ("sheet.xlsx", "a rows file must be one of .csv, .tsv, .jsonl, .txt"),
        ("nul\0.csv", "cannot be read"),
    ]:
        with pytest.raises(CannotOpenError, match=says), open_rows(tmp_path / name, problems):
            pass


def test_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "endless.txt").symlink_to("/dev/zero")
    with pytest.raises(CannotOpenError, match="is not a file"), open_rows(tmp_path / "endless.txt", Problems(tmp_path)):
        pass


@pytest.mark.parametrize("data", PROMPTS, ids=lambda path: path.stem)
def test_prompts_are_read_as_they_stand(tmp_path: Path, data: Path) -> None:
    rows, problems = read(tmp_path / "r.tsv", data.read_bytes())
    assert problems == []
    expected = [line.split("\t")[0] for line in data.read_text(encoding="utf-8").split("\n")[1:] if line.strip()]
    assert [row["Prompt"] for _, row in rows] == [prompt.rstrip("\r") for prompt in expected]
