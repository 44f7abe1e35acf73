"""Entries that are written alike: they are read in another way than by the parser, and nothing else may tell."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.catalog import load_catalog
from batchgen.core.errors import ManifestError
from batchgen.manifest import load_manifest
from batchgen.manifest.yaml.document import Document
from batchgen.manifest.yaml.nodes import Map
from batchgen.manifest.yaml.problems import BrokenOffError, Problems
from batchgen.manifest.yaml.shapes import Alike, MisreadError, Shapes

CATALOG = load_catalog()
CLIP = "centaurus-1.0-text-to-video"
HEAD = f"version: 1\nname: m\ndefaults:\n  model: {CLIP}\nitems:\n"
ENTRY = """\
  - id: clip-{0}
    prompt: "A kite, {0} of them: # é"
    aspect_ratio: 16:9
    duration: 5
    seed: {0}
    tags: {{line: kitchen, number: {0}}}
"""


class Pieces:
    """A file that is read in small pieces."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read = lambda _: file.read(300)


def entries(path: Path, shapes: Shapes | None, problems: Problems | None = None) -> Iterator[Any]:
    """The entries of a manifest; shapes are learned from those that are maps."""
    problems = Problems(path) if problems is None else problems
    with path.open("rb") as file:
        source: Any = Pieces(file)
        for key, _, value, _ in Document(path, source, problems, shapes=shapes).entries("items"):
            if key != "items":
                continue
            for entry, mark in value:
                yield entry, (mark.line, mark.column)
                if shapes is not None and type(entry) is Map and not len(problems):
                    shapes.learn(entry)


def placed(entry: Map) -> dict[str, Any]:
    """A map with everything that is known of its places."""
    return {
        key: (
            placed(value) if isinstance(value, Map) else (type(value), value),
            *((mark.line, mark.column) for mark in (entry.mark, entry.key_mark(key), entry.value_mark(key))),
        )
        for key, value in entry.items()
    }


def written(folder: Path, text: str) -> Path:
    path = folder / "m.yaml"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "entry",
    [
        ENTRY,
        ENTRY.replace("\n  ", "\n").removeprefix("  "),
        "- {{id: clip-{0}, prompt: 'A, b', seed: 0x{0}, tags: {{a: {0}, b: true}}}}\n",
        "  -   prompt: A kite, not [so] {0}\n      tags:\n        a: x\n        b: '{0}'\n\n",
        "- prompt:\n    A kite {0}\n  tags: {{}}\n",
    ],
)
def test_an_entry_is_what_the_parser_would_have_made_of_it(entry: str, tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "".join(entry.format(n) for n in range(100)))
    found, marks = zip(*entries(path, Shapes()), strict=True)
    plain, plain_marks = zip(*entries(path, None), strict=True)
    assert sum(type(one) is Alike for one in found) > 80
    assert marks == plain_marks
    maps = [one.map() if isinstance(one, Alike) else one for one in found]
    assert [placed(one) for one in maps] == [placed(one) for one in plain]


@pytest.mark.parametrize(
    "odd",
    [
        "  - prompt: &one A kite\n",
        "  - prompt: A kite # with a tail\n",
        "  - prompt: 'A kite' # with a tail\n",
        "  - &key prompt: A kite\n",
        "  - prompt: A kite\n    <<: {seed: 5}\n",
        "  - prompt: A kite\n      and its tail\n",
        "  - prompt: |\n      A kite\n",
        "  - prompt: !!str A kite\n",
        "  - <<: {seed: 5}\n    prompt: A kite\n",
        "  - [A kite]\n",
        "  - prompt: A kite\n    images: [a, b]\n",
        "  - prompt: A kite\r\n",
    ],
)
def test_what_may_mean_more_than_its_text_has_no_shape(odd: str, tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + odd * 100)
    assert Alike not in {type(entry) for entry, _ in entries(path, Shapes())}


SHAPED = "".join(ENTRY.format(n) for n in range(40))
PLAIN = "".join(f"  - id: clip-{n}\n    prompt: A kite\n    seed: {n}\n" for n in range(40))


@pytest.mark.parametrize(
    "text",
    [
        f'{PLAIN}  - prompt: "A list:\n{PLAIN}"\n',
        f"{PLAIN}  - prompt: 'A list:\n{PLAIN}'\n",
        f"{SHAPED}description: |1\n{SHAPED}",
        f"{SHAPED}bogus:\n{SHAPED}",
    ],
)
def test_what_only_looks_like_entries_is_noticed(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + text)
    with pytest.raises(MisreadError):
        list(entries(path, Shapes()))


NASTY = (
    "x: y", "x #y", "#z", "it's", 'say "hi"', "{a}", "${tags.a}", "{{x}}", "[a", "a, b", "- a", "*a", "&a", "!t",
    "|", ">", "%s", "@", "é", "\u2028", "\x85", "😀", "\U0010ff01", "\\n", "\\ud83c\\udfa8", "\\", "tab\there",
    "end ", ":", "a:", "a:b", "true", "null", "~", "007", "1e3", "0x1F", "9" * 330, "---", "<<", "", "\ufeff",
    "x" * 1100, "12345678901234567890",
)  # fmt: skip


def read(path: Path, shapes: Shapes | None) -> Any:
    """What a document makes of its entries, or why it cannot be read on: the same without shapes, if it is not sure."""
    problems = Problems(path)
    found: list[Any] = []
    try:
        for entry, mark in entries(path, shapes, problems):
            whole = entry.map() if isinstance(entry, Alike) else entry
            found.append((mark, placed(whole) if isinstance(whole, Map) else whole))
    except (BrokenOffError, MisreadError):
        if shapes is not None and shapes.used:
            return read(path, None)
    return found, problems.error().problems


@pytest.mark.parametrize("written_as", ["{}", "'{}'", '"{}"', "{{a: {}, b: c}}"])
def test_a_value_is_what_the_parser_would_have_made_of_it(written_as: str, tmp_path: Path) -> None:
    form = f"  - id: clip-{{0}}\n    prompt: {written_as.replace('{}', '{1}')}\n    seed: 5\n"
    for value in NASTY:
        made = [form.format(n, f"A {value}" if n == 50 else value if n == 51 else "A kite") for n in range(60)]
        path = written(tmp_path, HEAD + "".join(made))
        shapes = Shapes()
        assert read(path, shapes) == read(path, None), value
        assert shapes.used


# ---- a whole manifest, read with shapes and without -----------------------------------------------------------


def outcome(path: Path, *, strict: bool) -> Any:
    """Everything that a manifest makes, or everything that is wrong with it."""
    database = path.parent / "stage"
    try:
        manifest = load_manifest(path, database, CATALOG, strict=strict)
    except ManifestError as error:
        return error.problems, error.more
    with closing(sqlite3.connect(database)) as db:
        tables = [db.execute(f"SELECT * FROM {table}").fetchall() for table in ("item", "entry", "combination")]
    return manifest, tables


def same(path: Path, monkeypatch: pytest.MonkeyPatch, *, strict: bool = False, piece: int = 300) -> Any:
    """The outcome with shapes, after it was compared with the one without."""
    with monkeypatch.context() as patched:
        patched.setattr("batchgen.manifest.yaml.reader._BLOCK", piece)
        found = outcome(path, strict=strict)
        patched.setattr(Shapes, "learn", lambda self, entry: None)
        assert found == outcome(path, strict=strict)
    return found


BREAKS = (
    '"',
    "'",
    "#",
    " #",
    "\n",
    " ",
    "[",
    "{",
    "}",
    "|",
    "&a ",
    "*a",
    "- ",
    ": ",
    "\r",
    "\t",
    "!",
    ">\n",
    '"\n',
    ",",
    "\x07",
)

texts = st.one_of(
    st.sampled_from(["a red kite", "the sea: calm", "16:9"]), st.sampled_from(NASTY), st.text(max_size=20)
)
forms = st.sampled_from(
    [
        ENTRY,
        ENTRY.replace("kitchen", "{1}"),
        ENTRY.replace("A kite", "{1}"),
        "  - id: other-{0}\n    prompt: {1}\n    duration: 1{0}\n",
        "  - prompt: '{1}'\n    seed: {1}\n    resolution: 720p\n\n",
        "  - {{prompt: {1}, id: flow-{0}, tags: {{a: {1}}}}}\n",
    ]
)


@pytest.mark.thorough
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    begin=st.lists(forms, min_size=1, max_size=3),
    odd=st.lists(st.tuples(st.integers(0, 59), texts), max_size=4),
    broken=st.lists(st.tuples(st.floats(0, 1), st.sampled_from(BREAKS)), max_size=2),
    behind=st.sampled_from(["", "tags: {a: b}\n", "description: x\n", f"bogus:\n{SHAPED}"]),
    strict=st.booleans(),
)
def test_a_manifest_is_the_same_without_shapes(
    begin: list[str],
    odd: list[tuple[int, str]],
    broken: list[tuple[float, str]],
    behind: str,
    strict: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = dict(odd)
    made = [begin[n % len(begin)].format(n, values.get(n, "a blue kite")) for n in range(60)]
    text = f"{HEAD}{''.join(made)}{behind}"
    for where, what in broken:
        at = round(where * len(text))
        text = text[:at] + what + text[at:]
    (tmp_path / "m.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    same(tmp_path / "m.yaml", monkeypatch, strict=strict)


@pytest.mark.parametrize(
    "plain", ["\n    resolution: 4k", "\n    resolution: 720p\n    resolution: 720p", "\n    tags: [a]"]
)
def test_a_problem_is_told_at_its_place(plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"  - id: clip-{n}\n    resolution: 720p\n    prompt: A kite\n" for n in range(60))
    path = written(tmp_path, HEAD + text.replace("clip-50\n    resolution: 720p", f"clip-50{plain}"))
    problems, _ = same(path, monkeypatch)
    assert problems[0].line in {HEAD.count("\n") + 3 * 50 + n for n in (2, 3)}


@pytest.mark.parametrize(
    ("entry", "instead"),
    [
        ("A kite, 50", "A ${tags.line} ${id}, 50"),
        ("A kite, 50", "A {{kite}}, 50"),
        ("clip-50", "clip 50"),
        ("clip-50", "null"),
        ("clip-50", "clip-49"),
        ("kitchen, number: 50", "'${id}', number: 50"),
        ("kitchen, number: 50", "null, number: 50"),
        ("16:9\n    duration: 5\n    seed: 50", "4:5\n    duration: 5\n    seed: 50"),
        ("seed: 50", "seed: 5.0"),
        ("seed: 50", "seed: 050"),
        ("    aspect_ratio", "    seed: 6\n    aspect_ratio"),
        (f"kitchen, number: 59}}\n{'': >2}", "kitchen, number: 59}\n  oops"),
    ],
)
def test_an_entry_like_the_others_may_need_more(
    entry: str, instead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(ENTRY.format(n) for n in range(61))
    assert entry in text
    same(written(tmp_path, HEAD + text.replace(entry, instead)), monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"  - prompt: A kite\n    seed: {n}\n    seed: 7\n" for n in range(60)),
        f'{SHAPED}  - prompt: "A list:\n{SHAPED}"\n',
        f"{SHAPED}  - [a,\n{SHAPED}  ]\n",
        f"{PLAIN}  - prompt: 'A list:\n{PLAIN}'\n",
        f"{PLAIN}description: |1\n{PLAIN}",
    ],
)
def test_what_is_wrong_with_all_is_told_of_all(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same(written(tmp_path, HEAD + text), monkeypatch)


def test_a_number_may_be_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(ENTRY.format(n) for n in range(400)).replace("seed: 300", f"seed: {'5' * 5000}")
    problems, _ = same(written(tmp_path, HEAD + text), monkeypatch, piece=20_000)
    assert [problem.message for problem in problems] == ["this number is too long"]


def test_values_of_a_series_are_checked_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(ENTRY.format(n) for n in range(60)).replace("seed: 55", f"seed: {2**63}").replace("A kite, 57", " ")
    problems, _ = same(written(tmp_path, HEAD + text.replace(" of them: # é", "")), monkeypatch)
    assert [problem.message for problem in problems] == [
        "`seed` must be a whole number that fits in 64 bits",
        "`prompt` is empty",
    ]


@pytest.mark.parametrize(
    "top", ["run:\n  path: ${tags.line}/${id}\n", "tags: {kind: test}\n", "", "model_defaults: {}\n"]
)
def test_what_comes_behind_the_items_counts(top: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, tables = same(written(tmp_path, HEAD + SHAPED + top), monkeypatch)
    assert manifest.items == len(tables[0]) == 40
