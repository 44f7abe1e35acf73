"""`diff` and `lock` through the command line: files and revisions of git, drifts, and runs that are held to a lock."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.running import ROOT, batchgen

MENU = ROOT / "manifests"


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.email=someone@example.com", "-c", "user.name=Someone", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a manifest, the house style that it includes, and its rows."""
    shutil.copytree(MENU, tmp_path / "jobs")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "jobs")
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_revision_is_compared_with_its_own_rows_and_includes(repository: Path) -> None:
    jobs = repository / "jobs"
    same = batchgen("diff", "HEAD:jobs/menu.yaml", "jobs/menu.yaml", cwd=repository)
    assert (same.returncode, "no differences" in same.stdout) == (0, True), same.stderr
    edit(jobs / "shared" / "house-style.yaml", "resolution: 2k", "resolution: 1k")
    edit(jobs / "prompts" / "products.csv", "copper kettle", "iron kettle")
    edit(jobs / "menu.yaml", "sample: 2", "sample: 3")
    shown = json.loads(batchgen("diff", "HEAD:jobs/menu.yaml", "jobs/menu.yaml", "--json", cwd=repository).stdout)
    assert (shown["changed"], shown["added"], shown["total"]["difference_usd"]) == (5, 1, "0.056")
    assert batchgen("diff", "HEAD:./menu.yaml", "menu.yaml", "--fail-over", "0.05", cwd=jobs).returncode == 1
    assert batchgen("diff", "HEAD:./menu.yaml", "menu.yaml", "--fail-over", "0.06", cwd=jobs).returncode == 0
    markdown = batchgen("diff", "HEAD:./menu.yaml", "menu.yaml", "--markdown", cwd=jobs).stdout
    assert markdown.startswith("<!-- batchgen diff menu -->\n")


def test_a_fault_in_a_revision_is_at_its_place_there(repository: Path) -> None:
    edit(repository / "jobs" / "shared" / "house-style.yaml", "resolution: 2k", "resolution: 9k")
    git(repository, "commit", "--all", "--quiet", "--message", "fault")
    result = batchgen("diff", "HEAD:jobs/menu.yaml", "HEAD~1:jobs/menu.yaml", cwd=repository)
    assert result.returncode == 2
    assert "HEAD:jobs/shared/house-style.yaml:7:40: `resolution` must be" in result.stderr


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ("HEAD:jobs/none.yaml", "there is no file jobs/none.yaml in the revision HEAD of git"),
        ("none:jobs/menu.yaml", "there is no revision none here"),
        ("--output=x:jobs/menu.yaml", "there is no option"),
        ("-x:jobs/menu.yaml", "there is no option"),
        ("HEAD:../menu.yaml", "is outside of the git repository"),
        ("none.yaml", "there is no manifest none.yaml"),
    ],
)
def test_what_is_not_there_is_one_clear_error(repository: Path, old: str, message: str) -> None:
    result = batchgen("diff", old, "jobs/menu.yaml", cwd=repository)
    assert result.returncode == 2
    assert message in result.stderr


def test_a_manifest_in_a_revision_reads_nothing_outside_of_the_repository(repository: Path) -> None:
    (repository.parent / "secret.txt").write_text("a secret\n", encoding="utf-8")
    for path in ("../../secret.txt", str(repository.parent / "secret.txt")):
        edit(repository / "jobs" / "menu.yaml", "rows: prompts/products.csv", f"rows: {path}")
        git(repository, "commit", "--all", "--quiet", "--message", "outside")
        result = batchgen("diff", "HEAD:jobs/menu.yaml", "HEAD~1:jobs/menu.yaml", cwd=repository)
        assert (result.returncode, "is outside of the git repository" in result.stderr) == (2, True)
        git(repository, "reset", "--hard", "--quiet", "HEAD~1")


def test_links_are_followed_inside_the_repository_only(repository: Path) -> None:
    rows = repository / "jobs" / "prompts" / "products.csv"
    rows.rename(rows.with_name("real.csv"))
    rows.symlink_to("real.csv")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "a link")
    same = batchgen("diff", "HEAD~1:jobs/menu.yaml", "HEAD:jobs/menu.yaml", cwd=repository)
    assert (same.returncode, "no differences" in same.stdout) == (0, True), same.stderr
    outside = repository.parent / "outside.csv"
    shutil.copy(rows, outside)
    rows.unlink()
    rows.symlink_to(outside)
    git(repository, "commit", "--all", "--quiet", "--message", "a link to the outside")
    refused = batchgen("diff", "HEAD~1:jobs/menu.yaml", "HEAD:jobs/menu.yaml", cwd=repository)
    assert refused.returncode == 2
    assert "jobs/prompts/products.csv is a link to a place outside of the git repository" in refused.stderr


def test_a_pointer_of_git_lfs_is_not_taken_for_rows(repository: Path) -> None:
    rows = repository / "jobs" / "prompts" / "products.csv"
    rows.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", encoding="utf-8")
    git(repository, "commit", "--all", "--quiet", "--message", "lfs")
    refused = batchgen("diff", "HEAD:jobs/menu.yaml", "jobs/menu.yaml", cwd=repository)
    assert (refused.returncode, "is in Git LFS" in refused.stderr) == (2, True)


@pytest.mark.parametrize("pattern", ["../bought/*.csv", "../**/*.csv", "../bought/a.csv"])
def test_bought_files_of_a_revision_are_found_as_on_disk(repository: Path, pattern: str) -> None:
    (repository / "bought").mkdir()
    (repository / "bought" / "a.csv").write_text("id,request_digest\n", encoding="utf-8")
    edit(repository / "jobs" / "menu.yaml", "name: menu\n", f"name: menu\nrun: {{bought: ['{pattern}']}}\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "bought")
    same = batchgen("diff", "HEAD:jobs/menu.yaml", "jobs/menu.yaml", cwd=repository)
    assert (same.returncode, "no differences" in same.stdout) == (0, True), same.stderr


def test_a_manifest_that_is_new_or_gone_is_compared_with_nothing(repository: Path) -> None:
    for old, new, sign in (("/dev/null", "jobs/menu.yaml", "+"), ("HEAD:jobs/menu.yaml", "/dev/null", "-")):
        shown = batchgen("diff", old, new, "--markdown", cwd=repository)
        assert (shown.returncode, shown.stdout.split("\n")[0]) == (0, "<!-- batchgen diff menu -->"), shown.stderr
        assert shown.stdout.count(f"\n{sign} ") == 5
        assert f"{sign}$0.28" in shown.stdout
    assert batchgen("diff", "/dev/null", "jobs/menu.yaml", "--fail-over", "0.27", cwd=repository).returncode == 1


def test_no_git_is_one_clear_error(repository: Path) -> None:
    result = batchgen("diff", "HEAD:jobs/menu.yaml", "jobs/menu.yaml", cwd=repository, PATH="/nowhere")
    assert (result.returncode, "git is not installed" in result.stderr) == (2, True)
    elsewhere = batchgen("diff", "HEAD:jobs/menu.yaml", str(MENU / "menu.yaml"), cwd=repository.parent)
    assert (elsewhere.returncode, "there is no revision HEAD here" in elsewhere.stderr) == (2, True)


def test_a_locked_run_buys_what_was_locked_and_no_more(repository: Path) -> None:
    jobs = repository / "jobs"
    (jobs / "menu.yaml.lock.json").unlink()
    assert batchgen("run", "menu.yaml", "--locked", "--simulate", cwd=jobs).returncode == 2
    assert batchgen("lock", "menu.yaml", cwd=jobs).stdout == "menu.yaml.lock.json: 5 items for $0.28\n"
    assert batchgen("lock", "menu.yaml", "--check", cwd=jobs).returncode == 0
    run = batchgen("run", "menu.yaml", "--locked", "--simulate", "--quiet", cwd=jobs)
    assert run.returncode == 0, run.stderr
    edit(jobs / "menu.yaml", "sample: 2", "sample: 3")
    found = batchgen("lock", "menu.yaml", "--check", cwd=jobs)
    assert found.returncode == 1
    assert "entry ${sku}: 2 items for $0.112 → 3 items for $0.168" in found.stdout
    assert "menu.yaml has drifted from its lock: $0.28 → $0.336" in found.stdout
    (shown,) = json.loads(batchgen("lock", "menu.yaml", "--check", "--json", cwd=jobs).stdout)["manifests"]
    assert (shown["locked_usd"], shown["current_usd"]) == ("0.28", "0.336")
    everywhere = batchgen("lock", "--check", cwd=repository)
    assert (everywhere.returncode, everywhere.stdout) == (
        1,
        found.stdout.replace("\nmenu.yaml has", "\njobs/menu.yaml has"),
    )
    refused = batchgen("run", "menu.yaml", "--locked", "--simulate", cwd=jobs)
    assert refused.returncode == 2
    assert "the manifest has drifted from menu.yaml.lock.json: entry ${sku}" in refused.stderr


def test_all_that_is_locked_below_a_folder_is_checked(repository: Path) -> None:
    jobs = repository / "jobs"
    shutil.copy(jobs / "chain.yaml", jobs / "other.yaml")
    written = batchgen("lock", "jobs/menu.yaml", "jobs/other.yaml", cwd=repository)
    assert written.stdout.splitlines() == [
        "jobs/menu.yaml.lock.json: 5 items for $0.28", "jobs/other.yaml.lock.json: 7 items for $1.25"
    ]  # fmt: skip
    for place in (".hidden", "node_modules"):  # what packages bring is not ours
        (repository / place).mkdir()
        (repository / place / "menu.yaml.lock.json").write_text("{}", encoding="utf-8")
    (repository / "flake.lock.json").write_text("{}", encoding="utf-8")
    checked = batchgen("lock", "--check", cwd=repository)
    assert checked.stdout.splitlines() == [
        "jobs/menu.yaml is as jobs/menu.yaml.lock.json says: $0.28",
        "jobs/other.yaml is as jobs/other.yaml.lock.json says: $1.25",
    ]
    assert checked.returncode == 0
    (jobs / "other.yaml").unlink()  # a lock that outlived its manifest
    gone = batchgen("lock", "--check", cwd=repository)
    assert (gone.returncode, "jobs/other.yaml" in gone.stderr) == (2, True), gone.stderr
    (repository / "empty").mkdir()
    assert batchgen("lock", "--check", cwd=repository / "empty").stdout == "nothing below this folder is locked\n"
    assert batchgen("lock", cwd=repository).returncode == 2


def test_the_lock_caps_a_run(repository: Path) -> None:
    """The cap is the lock's total over the life of the run folder, or a lower one that was given."""
    jobs = repository / "jobs"
    batchgen("lock", "menu.yaml", cwd=jobs)
    planned = batchgen("run", "menu.yaml", "--locked", "--simulate", "--max-cost", "99", cwd=jobs)
    assert "(max_cost $0.28)" in planned.stderr
    assert "the cap is the total of menu.yaml.lock.json, $0.28" in planned.stderr
    planned = batchgen("run", "menu.yaml", "--locked", "--simulate", "--max-cost", "0.20", "--run", "x", cwd=jobs)
    assert "(max_cost $0.20)" in planned.stderr
    assert "the cap is max_cost, $0.20: lower than the total of menu.yaml.lock.json, $0.28" in planned.stderr
    assert planned.returncode == 3


def test_the_example_lock_is_true() -> None:
    assert batchgen("lock", "menu.yaml", "--check", cwd=MENU).returncode == 0
