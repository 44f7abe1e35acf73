"""What people see of a run in the terminal, from its first line to what it tells them to do next."""

import csv
import io
import json
import shlex
from pathlib import Path

import pytest
from support.running import KEY, ROOT, batchgen, simulator

MANIFEST = """\
version: 1
name: shop
defaults: {model: hera-1.0-text-to-image}
items:
  - {id: mug, prompt: A mug}
  - {id: jug, prompt: A jug}
  - {id: bowl, prompt: A bowl}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped at its budget, with an item in doubt."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "shop.yaml").write_text(MANIFEST, encoding="utf-8")
    with simulator("--speed", 500, "--fault", "lost_answer=1") as api:
        run = (
            "run",
            "shop.yaml",
            "--base-url",
            api.url,
            "--budget",
            "0.06",
            "--output",
            "out",
            "--yes",
            "--poll-min",
            "0.05",
        )
        ended = batchgen(*run, cwd=folder)
    assert ended.returncode == 3, ended.stderr
    (folder / "stdout").write_text(ended.stdout, encoding="utf-8")
    (folder / "stderr").write_text(ended.stderr, encoding="utf-8")
    return folder


def test_the_first_line_names_the_folder_and_every_path_is_whole(project: Path) -> None:
    run = project / "out" / "shop"
    assert (project / "stderr").read_text(encoding="utf-8").splitlines()[0] == f"run folder {run}"
    shown = (project / "stdout").read_text(encoding="utf-8")
    assert f"files    {run / 'files'}\n" in shown
    assert f"folder   {run}\n" in batchgen("status", "out/shop", cwd=project).stdout


def test_the_end_and_status_say_the_same_next_steps(project: Path) -> None:
    steps = f"  batchgen resolve {project / 'out' / 'shop'} --export doubts.csv\nnext: run the same command to continue"
    shown = (project / "stdout").read_text(encoding="utf-8")
    assert steps in shown
    status = batchgen("status", "shop", "--output", "out", cwd=project)
    assert steps in status.stdout
    assert "the last run stopped at 20" in status.stdout
    told = json.loads(batchgen("status", "out/shop", "--json", cwd=project).stdout)
    assert (told["last_run"]["stopped_because"], told["last_run"]["exit_code"]) == ("budget", 3)
    assert told["last_run"]["text"] in status.stdout
    commands = [step["command"] for step in told["next"]]
    assert [command.split()[1] for command in commands] == ["resolve", "run"]
    summary = json.loads((project / "out" / "shop" / "summary.json").read_text(encoding="utf-8"))
    assert summary["next"] == told["next"]


def test_the_command_that_comes_next_works_where_it_is_pasted(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(MANIFEST, encoding="utf-8")
    (tmp_path / "the key").write_text(KEY, encoding="ascii")
    tables = (ROOT / "batchgen" / "catalog" / "tables.toml").read_text(encoding="utf-8")
    (tmp_path / "tables.toml").write_text(tables, encoding="utf-8")
    given = "--output out --run night --catalog tables.toml --max-cost 1 --max-new 2 --poll-min 0.05"
    with simulator("--speed", 500, "--media", "tiny") as api:
        words = ["run", "shop.yaml", *given.split(), "--base-url", api.url, "--api-key-file", "the key"]
        ended = batchgen(*words, cwd=tmp_path, key=None)
        assert ended.returncode == 3, ended.stderr
        command = ended.stdout.splitlines()[-1]
        continued = batchgen(*shlex.split(command)[1:], cwd=Path("/"), key=None)
    assert continued.returncode == 0, f"{command}\n{continued.stderr}"
    assert "  done                3" in continued.stdout


def test_a_plan_warns_of_the_caps_that_stop_it(project: Path) -> None:
    def warned(**settings: str) -> list[str]:
        text = batchgen("plan", "shop.yaml", "--output", "out", cwd=project, **settings).stdout
        return [line for line in text.splitlines() if line.startswith("warning: that is more than")]

    assert warned(BATCHGEN_BUDGET="1", BATCHGEN_MAX_COST="1") == []
    assert warned(BATCHGEN_BUDGET="0.06", BATCHGEN_MAX_COST="0.10") == [
        "warning: that is more than the budget of $0.06: a run stops there, and the next one continues",
        # One item is in doubt, and counts.
        "warning: that is more than is left of max_cost ($0.044 of $0.10): a run stops there",
    ]


def test_a_list_of_doubts_passes_through_a_pipe(project: Path) -> None:
    exported = batchgen("resolve", "out/shop", "--export", "-", cwd=project)
    assert exported.returncode == 0, exported.stderr
    (row,) = csv.DictReader(io.StringIO(exported.stdout))
    assert row["request_digest"]
    assert "1 item in doubt written" in exported.stderr
    assert not (project / "-").exists()
    row["how"] = "not-charged"
    filled = io.StringIO()
    writer = csv.DictWriter(filled, list(row))
    writer.writeheader()
    writer.writerow(row)
    imported = batchgen("resolve", "out/shop", "--import", "-", cwd=project, stdin=filled.getvalue())
    assert imported.returncode == 0, imported.stderr
    assert f"{row['item_id']}: pending again" in imported.stdout


@pytest.mark.parametrize(
    ("words", "text", "line"),
    [
        ("picks out/shop --import -", "item_id,output,pick\nno-such-item,1,keep\n", 2),
        ("resolve out/shop --import -", "item_id,request_digest,how,job_id\nno-such-item,,charged,\n", 2),
        ("resolve out/shop --import -", "item_id,request_digest,how,job_id\nmug,,perhaps,\n", 2),
        ("ledger out/shop --match -", "job_id,amount\nj1,0,06\n", 2),
        ("ledger out/shop --match -", 'job_id,amount\n"j1,1\n', 2),
        ("catalog diff -", "No page at all\n", 0),
    ],
)
def test_a_fault_in_what_was_piped_names_standard_input(project: Path, words: str, text: str, line: int) -> None:
    ended = batchgen(*words.split(), cwd=project, stdin=text)
    assert ended.returncode == 2
    assert f"standard input:{line}:" in ended.stderr or not line
    assert "standard input" in ended.stderr
    assert "batchgen-" not in ended.stderr, "a temporary folder's name"


@pytest.mark.parametrize(
    "words",
    [
        "models", "models hera-1.0-text-to-image", "validate shop.yaml --format json", "plan shop.yaml --output out",
        "plan shop.yaml --output out --items", "diff shop.yaml shop.yaml", "lock shop.yaml --check",
        "status out/shop", "picks out/shop", "export out/shop handed", "ledger out/shop --format json",
        "ledger out/shop --check --format json", "ledger out/shop --match bill.csv --format json",
        "report out/shop --no-thumbnails", "verify out/shop", "check out/shop",
    ],
)  # fmt: skip
def test_everything_for_programs_says_its_format(project: Path, words: str) -> None:
    (project / "bill.csv").write_text("job_id,amount\n", encoding="utf-8")
    batchgen("lock", "shop.yaml", cwd=project)
    as_json = [] if "json" in words else ["--json"]
    ended = batchgen(*words.split(), *as_json, cwd=project, FORCE_COLOR="1")
    assert ended.returncode in (0, 1), ended.stderr
    assert json.loads(ended.stdout)["format_version"] == 1
