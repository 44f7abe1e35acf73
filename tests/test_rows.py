"""Rows files: .csv as RFC 4180 has it, .tsv without quoting, .jsonl with types, .txt line by line."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.manifest.problems import Problems
from batchgen.manifest.reader import MAX_SCALAR
from batchgen.manifest.rows import CannotOpenError, RowsError, open_rows

FOLDER = Path(__file__).parent.parent


def read(path: Path, content: str | bytes) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """The rows of a file, and its problems as `line: message`."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = Problems(path.with_name("manifest.yaml"))
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        with open_rows(path, problems) as opened:
            rows.extend(opened.rows)
    except RowsError:
        assert len(problems)
    return rows, [f"{problem.line}: {problem.message}" for problem in problems.error().problems]


# ---- csv ---------------------------------------------------------------------------------------------------------

CELLS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('",;\t\r\n'), max_size=12)


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
    lines = out.getvalue().split("\n")
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
        ('a\n"x\ny\n', "2: this is no CSV (RFC 4180): unexpected end of data; is a quote left open here?"),
        ('a,b\n1,2\n"x"y,2\n', "3: this is no CSV (RFC 4180): ',' expected after '\"'; is a quote left open here?"),
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
    assert problems[0].startswith("2: this is no CSV (RFC 4180): field larger than field limit")


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


def test_txt_has_a_line_a_row(tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.txt", '\ufeffone, "two"\r\n\r\n   \n\tthree  \nfour')
    assert rows == [(1, {"line": 'one, "two"'}), (4, {"line": "\tthree  "}), (5, {"line": "four"})]
    assert problems == []


LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n") | st.sampled_from(" \t\u3000"))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=6), end=st.sampled_from(["\n", "\r\n"]), closed=st.booleans())
def test_a_line_of_txt_comes_as_it_is(lines: list[str], end: str, closed: bool, tmp_path: Path) -> None:
    content = "\ufeff" + end.join(lines) + (end if closed else "")
    rows, problems = read(tmp_path / "r.txt", content)
    assert problems == []
    assert [(line, row["line"]) for line, row in rows] == [
        (number, line) for number, line in enumerate(lines, 1) if line and not line.isspace()
    ]


# ---- jsonl -------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4), ascii_only=st.booleans())
def test_jsonl_keeps_types(rows: list[dict[str, Any]], ascii_only: bool, tmp_path: Path) -> None:
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    found, problems = read(tmp_path / "r.jsonl", content)
    assert problems == []
    assert found == list(enumerate(rows, 1))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "Expecting property name enclosed in double quotes at column 2"),
        ("[1]", "each line must be a JSON object"),
        ('{"a":1} x', "Extra data"),
        ('{"a":1,"a":2}', "the key `a` stands twice in this line"),
        ('{"a":Infinity}', "Infinity is no JSON"),
        ('{"a":' + "9" * 5000 + "}", "a number that is too long"),
        ('{"a":' + "[" * 100_000, "nested too deep"),
        ("\x00", "this is no JSON"),
    ],
)
def test_faults_of_jsonl(line: str, problem: str, tmp_path: Path) -> None:
    rows, problems = read(tmp_path / "r.jsonl", f'{{"x":1}}\n{line}\n{{"x":2}}\n')
    assert [number for number, _ in rows] == [1, 3]
    assert len(problems) == 1
    assert problems[0].startswith("2: ")
    assert problem in problems[0]


# ---- files -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    problems = Problems(tmp_path / "m.yaml")
    (tmp_path / "folder.csv").mkdir()
    for name, says in [
        ("none.csv", "there is no file"),
        ("folder.csv", "is no file"),
        ("sheet.xlsx", "rows files are .csv, .tsv, .jsonl, .txt"),
        ("nul\0.csv", "cannot be read"),
    ]:
        with pytest.raises(CannotOpenError, match=says), open_rows(tmp_path / name, problems):
            pass


def test_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "endless.txt").symlink_to("/dev/zero")
    with pytest.raises(CannotOpenError, match="is no file"), open_rows(tmp_path / "endless.txt", Problems(tmp_path)):
        pass


def test_real_prompts(tmp_path: Path) -> None:
    data = FOLDER.parent / "shared" / "data" / "parti-prompts.tsv"
    if not data.is_file():
        pytest.skip("the folder with real prompts is not here")
    rows, problems = read(tmp_path / "r.tsv", data.read_bytes())
    assert problems == []
    expected = [line.split("\t")[0] for line in data.read_text(encoding="utf-8").split("\n")[1:] if line.strip()]
    assert [row["Prompt"] for _, row in rows] == [prompt.rstrip("\r") for prompt in expected]
