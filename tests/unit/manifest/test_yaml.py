"""YAML as manifests have it: the core schema of YAML 1.2, JSON as it stands, places, and bounds."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.manifest.yaml.document import Document, PureParser, default_parser
from batchgen.manifest.yaml.nodes import List, Map
from batchgen.manifest.yaml.problems import BrokenOffError, Problems
from batchgen.manifest.yaml.reader import MAX_SCALAR
from batchgen.manifest.yaml.scalars import text_of

PARSERS = [pytest.param(default_parser(), id="libyaml"), pytest.param(PureParser, id="pure")]
both = pytest.mark.parametrize("parser", PARSERS)
Parser = Callable[[Any], Any]


def test_libyaml_is_there() -> None:
    assert default_parser() is not PureParser


def read(path: Path, text: str | bytes, parser: Parser) -> tuple[dict[str, Any], list[str]]:
    """A document's values, and its problems as `line:column: message`."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    problems = Problems(path)
    whole: dict[str, Any] = {}
    with path.open("rb") as file:
        try:
            for key, _, value, _ in Document(path, file, problems, parser).entries("items"):
                whole[key] = [item for item, _ in value] if isinstance(value, Iterator) else value
        except BrokenOffError:
            assert len(problems)
    return whole, [f"{p.line}:{p.column}: {p.message}" for p in problems.error().problems]


def value_of(path: Path, text: str, parser: Parser) -> Any:
    whole, problems = read(path, text, parser)
    assert problems == []
    return whole["a"]


# ---- scalars -----------------------------------------------------------------------------------------------------

SCALARS = [
    ("", None), ("~", None), ("null", None), ("Null", None), ("NULL", None), ("nULL", "nULL"),
    ("true", True), ("True", True), ("TRUE", True), ("false", False), ("False", False), ("FALSE", False),
    ("tRUE", "tRUE"), ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("N", "N"),
    ("0", 0), ("7", 7), ("-7", -7), ("+7", 7), ("007", 7), ("0o17", 15), ("0x1F", 31), ("0xg", "0xg"), ("0b1", "0b1"),
    ("-0x1", "-0x1"), ("1_000", "1_000"), ("1,000", "1,000"), ("12e3", 12000.0), ("1.5", 1.5), (".5", 0.5),
    ("5.", 5.0), ("-.5E-2", -0.005), (".inf", float("inf")), ("-.Inf", float("-inf")), (".", "."), ("-", None),
    ("e3", "e3"), ("1e", "1e"), ("0.0.1", "0.0.1"), ("16:9", "16:9"), ("1:1", "1:1"), ("12:30:45", "12:30:45"),
    ("2024-01-01", "2024-01-01"), ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"), ("=", "="), ("<<", "<<"),
    ("nan", "nan"), ("inf", "inf"), ("NaN", "NaN"), ("Infinity", "Infinity"), ("~x", "~x"), ("$5", "$5"),
]  # fmt: skip


@both
@pytest.mark.parametrize(("text", "value"), [pair for pair in SCALARS if pair[0] != "-"])
def test_plain_scalars(text: str, value: object, parser: Parser, tmp_path: Path) -> None:
    found = value_of(tmp_path / "m.yaml", f"a: {text}\n", parser)
    assert found == value
    assert isinstance(found, bool) == isinstance(value, bool)
    assert isinstance(found, float) == isinstance(value, float)


@both
def test_nan(parser: Parser, tmp_path: Path) -> None:
    found = value_of(tmp_path / "m.yaml", "a: .nan\n", parser)
    assert found != found


@both
@pytest.mark.parametrize(
    "text", ["007", "+5", "0x1F", "0o17", "1.10", "1e3", ".5", ".inf", "-0", "1234567890.123456789"]
)
def test_numbers_keep_their_spelling_as_text(text: str, parser: Parser, tmp_path: Path) -> None:
    assert text_of(value_of(tmp_path / "m.yaml", f"a: {text}\n", parser)) == text


@both
@pytest.mark.parametrize("style", ["'{}'", '"{}"', "|-\n  {}", ">-\n  {}", "!!str {}", "! {}"])
@pytest.mark.parametrize("text", ["true", "null", "12", "1.5"])
def test_other_styles_are_always_text(text: str, style: str, parser: Parser, tmp_path: Path) -> None:
    assert value_of(tmp_path / "m.yaml", f"a: {style.format(text)}\n", parser) == text


@both
def test_a_number_of_thousands_of_digits_is_a_problem(parser: Parser, tmp_path: Path) -> None:
    _, problems = read(tmp_path / "m.yaml", f"a: {'9' * 5000}\n", parser)
    assert problems == ["1:4: this number is too long"]


# ---- JSON is YAML ------------------------------------------------------------------------------------------------

# libyaml bounds keys to 1024 characters on one line (YAML 1.2, section 7.4.2), and these become keys of parameters.
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.thorough
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 2, "\t"]), bom=st.booleans())
@pytest.mark.parametrize("parser", PARSERS)
def test_json_reads_as_json(
    value: Any, ascii_only: bool, indent: int | str | None, bom: bool, parser: Parser, tmp_path: Path
) -> None:
    if parser is PureParser and indent == "\t":
        indent = 1  # the one thing in which it falls short of libyaml
    text = json.dumps({"a": value}, ensure_ascii=ascii_only, indent=indent)
    text = ("\ufeff" if bom else "") + text
    assert value_of(tmp_path / "m.json", text, parser) == value


@pytest.mark.thorough
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\u\"'\U0010ff00\U0010ff01\ud83c\udfa8"))
)
@pytest.mark.parametrize("parser", PARSERS)
def test_what_is_hidden_from_the_parser_comes_back(text: str, parser: Parser, tmp_path: Path) -> None:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    for ascii_only in (True, False):
        document = '{"a":' + json.dumps(text, ensure_ascii=ascii_only) + "}"
        assert value_of(tmp_path / "m.yaml", document, parser) == text


@both
@pytest.mark.parametrize("at", range(65_500, 65_545))
def test_an_escape_may_lie_across_two_pieces_of_the_file(at: int, parser: Parser, tmp_path: Path) -> None:
    begin = '{"a":"'
    text = begin + "x" * (at - len(begin)) + r"\\\ud83c\udfa8" + "é\u2028" + '"}'
    value = value_of(tmp_path / "m.yaml", text, parser)
    assert value.lstrip("x") == "\\🎨é\u2028"


@both
def test_surrogate_pairs_count_in_double_quotes_alone(parser: Parser, tmp_path: Path) -> None:
    text = 'a: ["\\ud83c\\udfa8", \'\\ud83c\\udfa8\', \\ud83c\\udfa8, "\\\\ud83c\\\\udfa8"]\nb: |\n  \\ud83c\\udfa8\n'
    whole, problems = read(tmp_path / "m.yaml", text, parser)
    assert whole == {"a": ["🎨", *["\\ud83c\\udfa8"] * 3], "b": "\\ud83c\\udfa8\n"}
    assert problems == []


@both
@pytest.mark.parametrize("half", ["\\ud83c", "\\udfa8", "\\udfa8\\ud83c", "\\ud83c\\ud83c", "\\ud83cx\\udfa8"])
def test_half_a_surrogate_pair_is_a_problem(half: str, parser: Parser, tmp_path: Path) -> None:
    _, problems = read(tmp_path / "m.yaml", f'a: "{half}"\n', parser)
    assert len(problems) == 1
    assert "half of a surrogate pair" in problems[0]


@both
def test_columns_are_true_behind_what_was_hidden(parser: Parser, tmp_path: Path) -> None:
    _, problems = read(tmp_path / "m.yaml", '{"x": "\\ud83c\\udfa8 é\u2028\x7f", 1: 2}', parser)
    assert [problem.split(" ")[0] for problem in problems] == ["1:27:"]


# ---- structure and places ----------------------------------------------------------------------------------------


@both
def test_values_know_where_they_stand(parser: Parser, tmp_path: Path) -> None:
    whole, _ = read(tmp_path / "m.yaml", "a:\n  bb: x\n  c: [1,\n    2]\n", parser)
    inner = whole["a"]
    assert isinstance(inner, Map)
    assert (inner.key_mark("bb").line, inner.key_mark("bb").column) == (1, 2)
    assert (inner.value_mark("bb").line, inner.value_mark("bb").column) == (1, 6)
    assert isinstance(inner["c"], List)
    assert (inner["c"].mark(1).line, inner["c"].mark(1).column) == (3, 4)


@both
def test_line_ends_of_all_kinds(parser: Parser, tmp_path: Path) -> None:
    _, problems = read(tmp_path / "m.yaml", "a: 1\r\nb: 2\rc: 3\nc: 4\n", parser)
    assert [problem.split(" ")[0] for problem in problems] == ["4:1:"]


@both
def test_merges(parser: Parser, tmp_path: Path) -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\na: {<<: [*x, *y], a: 0}\nb: {'<<': *x}\n"
    whole, problems = read(tmp_path / "m.yaml", text, parser)
    assert problems == []
    assert whole["a"] == {"a": 0, "b": 1, "c": 2}
    assert whole["b"] == {"<<": {"a": 1, "b": 1}}


@both
def test_an_alias_to_what_is_around_it_is_a_problem(parser: Parser, tmp_path: Path) -> None:
    _, problems = read(tmp_path / "m.yaml", "a: &a [*a]\n", parser)
    assert problems == ["1:8: the alias `*a` has no anchor `&a` before it"]


@both
def test_invalid_utf_8_is_found_in_any_piece(parser: Parser, tmp_path: Path) -> None:
    for size in (0, 65_530, 65_536, 200_000):
        lines = b"# " + b"x" * 50 + "é".encode() + b"\r\n"
        before = lines * (size // len(lines))
        _, problems = read(tmp_path / "m.yaml", before + "k: é".encode() + b"\xe9\n", parser)
        line = before.count(b"\n") + 1
        assert problems == [f"{line}:5: the file is not UTF-8; save it as UTF-8"], size


@both
@pytest.mark.parametrize("text", [b"\xff\xfea\x00:\x00", b"\x00\x00\xfe\xff"])
def test_other_encodings_are_refused(text: bytes, parser: Parser, tmp_path: Path) -> None:
    _, problems = read(tmp_path / "m.yaml", text, parser)
    assert len(problems) == 1


# ---- bounds ------------------------------------------------------------------------------------------------------


def refused_quickly(path: Path, text: str, message: str, parser: Parser) -> None:
    begun = time.process_time()
    _, problems = read(path, text, parser)
    assert time.process_time() - begun < 5
    assert len(problems) == 1
    assert message in problems[0]


@both
def test_a_bomb_of_lists(parser: Parser, tmp_path: Path) -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    refused_quickly(tmp_path / "m.yaml", text, "expand to too much", parser)


@pytest.mark.thorough
@both
def test_a_bomb_of_merges(parser: Parser, tmp_path: Path) -> None:
    keys = ", ".join(f"k{n}: {n}" for n in range(1000))
    text = f"a: &a {{{keys}}}\nb: [" + ", ".join(["{<<: *a}"] * 3000) + "]\n"
    refused_quickly(tmp_path / "m.yaml", text, "expand to too much", parser)


@pytest.mark.thorough
@both
def test_a_bomb_of_long_texts(parser: Parser, tmp_path: Path) -> None:
    text = f"a: &a {'x' * 500_000}\nb: [" + ", ".join(["*a"] * 10_000) + "]\n"
    refused_quickly(tmp_path / "m.yaml", text, "expand to too much", parser)


@pytest.mark.thorough
@both
def test_too_many_anchors(parser: Parser, tmp_path: Path) -> None:
    text = "a:\n" + "".join(f"- &a{n} x\n" for n in range(10_001))
    refused_quickly(tmp_path / "m.yaml", text, "more than 10,000 anchors", parser)


@pytest.mark.thorough
@both
@pytest.mark.parametrize(
    ("before", "begin", "after"),
    [
        ("", "[", "]"), ("", "{k: ", "}"), ("", "[{k: ", "}]"), ("", "{? ", "}"), ("", "[", ""),
        ("\n  ", "- ", ""), ("\n  ", "? ", ""),
    ],
)  # fmt: skip
def test_too_deep(before: str, begin: str, after: str, parser: Parser, tmp_path: Path) -> None:
    text = f"a: {before}{begin * 5000}x{after * 5000}\n"
    refused_quickly(tmp_path / "m.yaml", text, "nested more than 64 levels deep", parser)


@pytest.mark.parametrize("begin", ["a: ", 'a: "', "a: |\n  ", "# ", "a: &"])
def test_a_value_without_an_end_is_not_read_to_it(begin: str, tmp_path: Path) -> None:
    refused_quickly(tmp_path / "m.yaml", begin + "x" * (8 * MAX_SCALAR), "longer than 1 MiB", default_parser())


def test_a_long_value_is_fine(tmp_path: Path) -> None:
    assert len(value_of(tmp_path / "m.yaml", f"a: {'x' * (MAX_SCALAR - 100)}\n", default_parser())) == MAX_SCALAR - 100


def test_reading_stops_with_the_bound(tmp_path: Path) -> None:
    """Memory: the parser must not have pulled in the whole of a value that is refused."""
    path = tmp_path / "m.yaml"
    path.write_bytes(b"a: " + b"x" * (32 * MAX_SCALAR))
    with path.open("rb") as file:
        with pytest.raises(BrokenOffError):
            list(Document(path, file, Problems(path)).entries("items"))
        assert file.tell() < 2 * MAX_SCALAR
