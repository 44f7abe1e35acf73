"""The wheel works outside the checkout, with what it brings itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.running import ROOT, environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with `batchgen[sim]` installed from a wheel built here."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True, timeout=240)
    (wheel,) = folder.glob("batchgen-*.whl")
    # Without what only costs time: a pip of its own, and bytecode of modules that are loaded once.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=120)
    install = [*pip, "--python", folder / "venv", "install", "--no-compile", f"batchgen[sim] @ {wheel.as_uri()}"]
    subprocess.run(install, check=True, timeout=240)
    return folder / "venv" / "bin"


def test_an_installed_wheel_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    variables = environment(PATH=f"{installed}{os.pathsep}{os.environ['PATH']}")

    def run(*arguments: str) -> None:
        result = subprocess.run(
            [installed / "batchgen", *arguments],
            cwd=tmp_path, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{arguments}\n{result.stdout}\n{result.stderr}"

    run("init", "mine.yaml")
    run("validate", "mine.yaml")
    run("run", "mine.yaml", "--simulate", "--quiet", "--poll-min", "0.2")
    run("verify", "mine.yaml")
    run("schema", "--output", "schemas")
    run("schema", "--output", "schemas", "--check")
    assert list((tmp_path / "output").glob("*/files/*"))
