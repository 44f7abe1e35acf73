"""The way into the program: a starter manifest, a run with pretend money beside it, and then a real one."""

import json
import re
import shlex
from pathlib import Path

import pytest
from support.running import batchgen, simulator

from batchgen.catalog import load_catalog
from batchgen.cli.boundary import guarded
from batchgen.journal import Journal
from batchgen.manifest import load_manifest, read_name
from batchgen.session.locate import find_run
from batchgen.settings import RUN_NAME, fit_run_name

MANIFEST = "version: 1\nname: job\nitems:\n  - {id: mug, model: hera-1.0-text-to-image, prompt: A mug}\n"


def begun(folder: Path) -> Path:
    """A run folder in which nothing was bought yet."""
    folder.mkdir(parents=True)
    Journal(folder, create=True).close()
    return folder


def test_what_the_starter_says_leads_from_the_first_check_to_a_purchase(tmp_path: Path) -> None:
    assert batchgen("init", "second.yaml", cwd=tmp_path).returncode == 0
    text = (tmp_path / "second.yaml").read_text(encoding="utf-8")
    commands = re.findall(r"^# .*: +batchgen (.+?)(?:  .*)?$", text, re.MULTILINE)
    assert [shlex.split(command)[0] for command in commands] == ["validate", "plan", "run", "run"]
    with simulator("--speed", "1000", "--media", "tiny") as api:
        for command in commands:
            result = batchgen(
                *shlex.split(command), cwd=tmp_path, BATCHGEN_BASE_URL=api.url, BATCHGEN_POLL_MIN="0.05",
                BATCHGEN_POLL_MAX="0.2",
            )  # fmt: skip
            assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
        assert len(api.jobs()) == 5
    names = {folder.name for folder in (tmp_path / "output").iterdir()}
    assert names == {"second", "second.simulated"}


@pytest.mark.parametrize("path", ["Spring Menu (2).yaml", "deep/third.yaml"])
def test_what_the_starter_says_is_said_for_where_it_was_made(tmp_path: Path, path: str) -> None:
    (tmp_path / "deep").mkdir()
    made = batchgen("init", path, cwd=tmp_path)
    said = re.findall(r"^  batchgen (.+)$", made.stdout, re.MULTILINE)
    text = (tmp_path / path).read_text(encoding="utf-8")
    said += re.findall(r"^# .*: +batchgen (.+?)(?:   .*)?$", text, re.MULTILINE)
    assert [shlex.split(command)[0] for command in said] == ["plan", "run", "validate", "plan", "run", "run"]
    for command in said:
        assert shlex.split(command)[1] == path
        if not command.startswith("run"):
            assert batchgen(*shlex.split(command), cwd=tmp_path).returncode == 0
    place = "deep/output" if path.startswith("deep") else "output"
    assert f"in {place}/" in text


# ---- init ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("second.yaml", "second"),
        ("Spring Menu (2).yaml", "spring-menu-2"),
        ("Café.yml", "cafe"),
        ("2026.yaml", "2026"),
        ("1e3.yaml", "1e3"),
        ("true.yaml", "true"),
        ("_draft.v2.yaml", "draft.v2"),
        ("春.yaml", "starter"),
        (f"{'x' * 70}.yaml", "x" * 64),
    ],
)
def test_the_run_is_named_after_the_file(tmp_path: Path, file: str, name: str) -> None:
    path = tmp_path / file
    assert guarded(["init", str(path)]) == 0
    assert read_name(path) == name
    assert load_manifest(path, tmp_path / "stage", load_catalog()).name == name


@pytest.mark.parametrize("text", ["a" * 65, "-.-", "a-.", "ä" * 3, "\u0130stanbul", "a/b\\c", "..", ""])
def test_a_name_made_of_any_text_is_one_or_nothing(text: str) -> None:
    name = fit_run_name(text)
    assert not name or RUN_NAME.fullmatch(name)


@pytest.mark.parametrize("there", ["second", "second.simulated"])
def test_a_name_whose_run_exists_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str) -> None:
    folder = begun(tmp_path / "output" / there)
    assert guarded(["init", str(tmp_path / "second.yaml")]) == 2
    assert f"{folder} already holds a run" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "second.yaml").exists()
    assert not (tmp_path / "manifest.schema.json").exists()


# ---- simulated runs -----------------------------------------------------------------------------------------------


def test_commands_find_the_simulated_run_where_there_is_no_other(tmp_path: Path) -> None:
    manifest, output = tmp_path / "m.yaml", tmp_path / "output"
    manifest.write_text(MANIFEST, encoding="utf-8")
    tried = begun(output / "job.simulated")
    for text in (str(manifest), "job", "job.simulated"):
        assert find_run(text, str(output), {}, read_name) == tried
    real = begun(output / "job")
    for text in (str(manifest), "job"):
        assert find_run(text, str(output), {}, read_name) == real
    assert find_run("job.simulated", str(output), {}, read_name) == tried


def test_a_plan_is_about_real_money_and_says_where_the_trial_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(MANIFEST, encoding="utf-8")
    tried = begun(tmp_path / "output" / "job.simulated")
    assert guarded(["plan", str(manifest)]) == 0
    shown = capsys.readouterr().out
    assert f"note: {tried} is a simulated run and does not count here" in shown
    assert guarded(["plan", str(manifest), "--simulate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "job.simulated"
    begun(tmp_path / "output" / "job")
    assert guarded(["plan", str(manifest)]) == 0
    assert "is a simulated run" not in capsys.readouterr().out


def test_a_name_of_its_own_is_kept_when_simulating(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MANIFEST, encoding="utf-8")
    assert guarded(["plan", str(tmp_path / "m.yaml"), "--simulate", "--run", "trial", "--json"]) == 0
