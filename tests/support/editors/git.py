"""Git, for somebody who has no settings of it."""

import os
import subprocess
from pathlib import Path

_WHO = {"NAME": "A committer", "EMAIL": "committer@example.com"}


def git_environment() -> dict[str, str]:
    """Return this process's environment, with a committer, and without settings of git or pre-commit."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT"))}
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _WHO.items()}
    return kept | who | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, and return what it prints. Raises CalledProcessError if it fails."""
    done = subprocess.run(
        ["git", *words], cwd=folder, env=git_environment(), check=True, capture_output=True, text=True, encoding="utf-8"
    )
    return done.stdout.strip()


def committed(folder: Path) -> None:
    """Commit all that a folder holds."""
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "--no-verify", "-m", "change")


def pushed(folder: Path) -> None:
    """Commit all that a folder holds to main, and push it."""
    committed(folder)
    git(folder, "push", "--quiet", "origin", "HEAD:main")
