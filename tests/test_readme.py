"""What the README shows works as it stands."""

import re
import shlex
from pathlib import Path

from support.running import ROOT, installed

from batchgen.cli.root import COMMANDS

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_its_commands_run_one_after_the_other(tmp_path: Path) -> None:
    lines = [line for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    assert len(lines) >= 5
    for line in lines:
        program, *arguments = shlex.split(line.removeprefix("$ "))
        assert program == "batchgen"
        result = installed(*arguments, cwd=tmp_path, key=None)
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"


def test_its_manifest_is_valid(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "products.csv").write_text("SKU,Product,Line\nM-1,Mug,Kitchen\n", encoding="utf-8")
    (tmp_path / "manifest.yaml").write_text(text, encoding="utf-8")
    result = installed("validate", "manifest.yaml", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", README)) - {"is"} <= targets


def test_it_lists_every_command() -> None:
    listed = set(re.findall(r"^\| `batchgen ([a-z]+)", README, re.MULTILINE))
    assert listed == set(COMMANDS)


def test_the_ci_script_runs_what_the_readme_names() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in script
    assert "make check" in script
