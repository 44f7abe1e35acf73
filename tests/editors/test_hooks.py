"""The hooks of pre-commit, installed from this project as a repository that holds manifests would have them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.editors.git import git, git_environment
from support.running import ROOT

from batchgen.core.version import DISTRIBUTION

PROJECT = ("batchgen", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")


class Repository:
    """A repository with manifests, whose commits pass the hooks."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home

    def commit(self) -> subprocess.CompletedProcess[str]:
        """Commit everything, with the hooks, and return how that ended."""
        git(self.folder, "add", "-A")
        return subprocess.run(
            ["git", "commit", "-m", "change"],
            cwd=self.folder, env=git_environment() | {"PRE_COMMIT_HOME": str(self.home)},
            capture_output=True, text=True, encoding="utf-8", timeout=240, check=False,
        )  # fmt: skip

    def clean(self) -> None:
        """Take back what is not committed."""
        git(self.folder, "reset", "--quiet", "--hard")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    scratch = tmp_path_factory.mktemp("hooks")
    source, folder = scratch / "batchgen", scratch / "catalogue"
    source.mkdir()
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    for made in (source, folder):
        git(made, "init", "--quiet")
    git(source, "add", "-A")
    git(source, "commit", "--quiet", "-m", "all")
    used = {
        "repo": str(source),
        "rev": git(source, "rev-parse", "HEAD"),
        "hooks": [{"id": hook["id"]} for hook in hooks],
    }
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [used]}), encoding="utf-8")
    home = scratch / "home"
    subprocess.run(
        [sys.executable, "-m", "pre_commit", "install", "--install-hooks"],
        cwd=folder, env=git_environment() | {"PRE_COMMIT_HOME": str(home)},
        check=True, capture_output=True, timeout=240,
    )  # fmt: skip
    return Repository(folder, home)


def test_what_is_right_is_committed(repository: Repository) -> None:
    committed = repository.commit()
    assert committed.returncode == 0, committed.stdout + committed.stderr
    assert committed.stderr.count("Passed") == 2, "both hooks had something to look at"


def test_a_mistake_is_shown_with_its_place_and_not_committed(repository: Repository) -> None:
    path = repository.folder / "manifests" / "chain.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n  - id: kite\n    promt: A red kite\n", encoding="utf-8")
    refused = repository.commit()
    assert refused.returncode != 0
    assert f"manifests/chain.yaml:{text.count(chr(10)) + 3}" in refused.stdout + refused.stderr
    assert "promt" in refused.stdout + refused.stderr
    repository.clean()


def test_a_drift_from_a_lock_is_not_committed_even_if_only_rows_changed(repository: Repository) -> None:
    rows = repository.folder / "manifests" / "prompts" / "products.csv"
    text = rows.read_text(encoding="utf-8")
    changed = (
        text.replace("copper", "iron").replace("linen", "cotton").replace("glass", "clay")
    )  # two are in the sample
    assert changed != text
    rows.write_text(changed, encoding="utf-8")
    refused = repository.commit()
    assert refused.returncode != 0
    assert "has drifted from its lock" in refused.stdout + refused.stderr
    repository.clean()


def test_the_page_shows_the_same_hooks() -> None:
    page = (ROOT / "docs" / "editors.md").read_text(encoding="utf-8")
    (shown,) = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(repos:.*?)```", page, re.DOTALL))
    ours = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
    hooks = {hook["id"]: hook for repo in shown["repos"] for hook in repo["hooks"]}
    assert set(hooks) == set(ours)
    for name, hook in hooks.items():
        assert hook["additional_dependencies"] == [DISTRIBUTION]
        for key in ("name", "entry", "language", "pass_filenames"):
            assert hook.get(key) == ours[name].get(key), (name, key)
