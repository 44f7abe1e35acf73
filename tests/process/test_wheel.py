"""The wheel works outside the checkout, with what it brings itself."""

import os
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest
from support.running import ROOT, environment


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with a wheel built here, and the dependencies of this one.

    That the dependencies are all declared, each fresh environment for the tests shows.
    """
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True, timeout=240)
    (wheel,) = folder.glob("batchgen_api18-*.whl")
    # Without what only costs time: a pip of its own, and bytecode of modules that are loaded once.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=120)
    install = [*pip, "--python", folder / "venv", "install", "--no-compile", "--no-deps", wheel]
    subprocess.run(install, check=True, timeout=240)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # Behind the new environment's own packages, and as a plain path, so that the checkout is not found by it.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    where = [folder / "venv" / "bin" / "python", "-c", "import batchgen; print(batchgen.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=folder).stdout
    assert found.startswith(str(packages))
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
    (page,) = (tmp_path / "output").glob("*/report.html")  # with styles, scripts and templates from the wheel
    assert "<!doctype html>" in page.read_text(encoding="utf-8")


def test_what_a_package_index_shows_links_to_no_file_beside_it(installed: Path) -> None:
    (packages,) = (installed.parent / "lib").glob("python*/site-packages")
    (found,) = distributions(name="batchgen-api18", path=[str(packages)])
    shown = found.metadata.get_payload()
    assert found.metadata["Description-Content-Type"] == "text/markdown"
    assert re.findall(r"\]\((?!https://)[^)]*\)", shown) == []
    assert "- Running in five minutes, recipes, the manifest: basics, in depth;" in shown
