"""What an editor shows of a manifest by its schema, through yaml-language-server."""

import re
from pathlib import Path
from typing import Any

import pytest
from support.editors.language_server import Editor, editor
from support.running import ROOT, batchgen

MANIFESTS = sorted((ROOT / "manifests").glob("*.yaml"))
WRONG = sorted(Path(__file__).with_name("wrong").glob("*.yaml"))
HEAD = "# yaml-language-server: $schema=./schemas/manifest.schema.json\nversion: 1\nname: typing\nitems:\n"
NEW = ROOT / "typing.yaml"
"""A file that is being typed, and is not on disk."""
VIDEO = "  - model: centaurus-1.0-text-to-video\n    prompt: A kite rises\n"


def lines_of(found: list[dict[str, Any]]) -> list[int]:
    return sorted({entry["range"]["start"]["line"] for entry in found})


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_the_examples_are_right(opened: Editor, path: Path) -> None:
    assert opened.open(path) == []


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.name)
def test_a_mistake_is_shown_on_its_line(opened: Editor, path: Path) -> None:
    wrong = [n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines()) if line.endswith("# wrong")]
    assert wrong
    assert lines_of(opened.open(path)) == wrong


def test_variables_are_no_mistakes(opened: Editor) -> None:
    for path in MANIFESTS:
        assert "${" not in str(opened.open(path))
    text = f"{HEAD}{VIDEO}    matrix: {{n: [2, 3], r: [720p]}}\n    duration: ${{n}}\n    resolution: ${{r}}\n"
    assert opened.open(NEW, text) == []
    opened.close(NEW)
    assert lines_of(opened.open(NEW, f"{text}    seed: none\n")) == [9], "and what is none is a mistake"
    opened.close(NEW)


def test_a_parameter_is_explained_with_its_options_default_and_price(opened: Editor) -> None:
    text = f"{HEAD}{VIDEO}    resolution: 1080p\n    duration: 4\n    id: kite\n"
    opened.open(NEW, text)
    shown = opened.hover(NEW, 6, 6)
    assert shown.startswith("#### resolution: one of 720p, 1080p\n")
    assert "Default: `720p`" in shown
    assert "* `1080p`: $0.30/second" in shown
    shown = opened.hover(NEW, 7, 6)
    assert shown.startswith("#### duration: a whole number from 2 to 15\n")
    assert "Length of the clip in seconds." in shown
    assert "- $0.20/second at 720p\n- $0.30/second at 1080p" in shown
    assert opened.hover(NEW, 8, 6).startswith("#### id\n")
    assert "Price: $0.20/second at 720p" in opened.hover(NEW, 4, 15), "a model has its prices"
    opened.close(NEW)


def test_titles_are_plain(opened: Editor) -> None:
    """A title is a key, and at most what is expected of it: no name of a definition, and no two of them."""
    path = ROOT / "manifests" / "quickstart.yaml"
    opened.open(path)
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        key = re.match(r"(?:  - |    |)([a-z_]+):", line)
        if key is None or "{" in line:
            continue
        title = opened.hover(path, n, key.start(1) + 1).partition("\n")[0].replace("\\", "")
        name = re.escape(key[1])
        assert re.fullmatch(rf"#### {name}(: [^|]+)?", title), (line, title)


def test_models_options_and_keys_are_offered(opened: Editor) -> None:
    text = f"{HEAD}  - model: \n    prompt: x\n{VIDEO}    resolution: \n    \n"
    opened.open(NEW, text)
    models = opened.complete(NEW, 4, 11)
    assert "centaurus-1.0-text-to-video" in models
    assert "$0.056/image" in models["hera-1.0-text-to-image"]["documentation"]["value"]
    options = opened.complete(NEW, 8, 16)
    assert set(options) == {"720p", "1080p", "null"}
    assert options["720p"]["documentation"]["value"] == "the default; $0.20/second"
    keys = opened.complete(NEW, 9, 4)
    assert {"id", "tags", "matrix", "duration", "aspect_ratio"} <= set(keys)
    assert not {"image", "num_images", "model"} & set(keys), "what another model takes, or what is there already"
    opened.close(NEW)


def test_a_starter_needs_no_checkout(packages: Path, tmp_path: Path) -> None:
    assert batchgen("init", "spring.yaml", cwd=tmp_path).returncode == 0
    starter = tmp_path / "spring.yaml"
    with editor(packages, tmp_path) as started:
        assert started.open(starter) == []
        started.close(starter)
        text = starter.read_text(encoding="utf-8")
        assert lines_of(started.open(starter, f"{text}\ncolour: red\n")) == [text.count("\n") + 1]
