"""What the README and the first pages of the documentation show works as it stands."""

import re
import shlex
from pathlib import Path

import pytest
from support.running import ROOT, batchgen, installed

from batchgen.cli.root import COMMANDS

README = (ROOT / "README.md").read_text(encoding="utf-8")


TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BASICS = (ROOT / "docs" / "manifest-basics.md").read_text(encoding="utf-8")
COMMANDS_PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_tutorial_work_one_after_the_other(tmp_path: Path) -> None:
    lines = [line for block in blocks("console", TUTORIAL) for line in block.splitlines() if line.startswith("$ ")]
    assert len(lines) >= 5
    for line in lines:
        program, *arguments = shlex.split(line.removeprefix("$ "))
        assert program == "batchgen"
        result = installed(*arguments, cwd=tmp_path, key=None)
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"


def test_the_readme_shows_what_its_commands_print(tmp_path: Path) -> None:
    (manifest,), (console,) = blocks("yaml"), blocks("console")
    (tmp_path / "mugs.yaml").write_text(manifest, encoding="utf-8")
    for part in console.split("$ ")[1:]:
        line, _, shown = part.partition("\n")
        program, *arguments = shlex.split(line)
        assert program == "batchgen"
        result = installed(*arguments, cwd=tmp_path, key=None)
        assert result.returncode == 0, result.stderr
        assert result.stdout.replace(str(tmp_path), "/srv/studio") == shown


def test_the_readme_fits_on_a_screen_or_two() -> None:
    assert len(README.splitlines()) <= 100


def test_links_lead_to_files() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    broken = []
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        targets = [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in target]
        broken += [f"{page.name}: {target}" for target in targets if not (page.parent / target).exists()]
    assert broken == []


IN_DEPTH = (ROOT / "docs" / "manifests.md").read_text(encoding="utf-8")
MANIFESTS = [block for text in (README, BASICS, IN_DEPTH) for block in blocks("yaml", text) if "\nitems:" in block]
"""What is shown as YAML and has items; the workflow for a pull request has none."""


@pytest.mark.parametrize("text", MANIFESTS, ids=range(len(MANIFESTS)))
def test_its_manifests_are_valid(tmp_path: Path, text: str) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "products.csv").write_text("SKU,Product,Line\nM-1,Mug,Kitchen\n", encoding="utf-8")
    (tmp_path / "manifest.yaml").write_text(text, encoding="utf-8")
    result = batchgen("validate", "manifest.yaml", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) - {"is"} <= targets


def test_the_page_of_commands_lists_every_one() -> None:
    listed = set(re.findall(r"^\| `batchgen ([a-z]+)", COMMANDS_PAGE, re.MULTILINE))
    assert listed == set(COMMANDS)


def test_the_ci_script_runs_what_the_readme_names() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in script
    assert "make check" in script
