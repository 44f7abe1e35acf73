"""Pages of the documentation, played: their files are written, their commands run, and what is printed is compared.

`WRITE_DOCS=1` writes a page anew with what the commands print now.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from support.running import batchgen, simulator

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w.-]+\.\w+)\n")
_DATE = re.compile(r"\d{4}-\d\d(-\d\d(T\d\d:\d\d:\d\dZ)?)?")
_FREE = re.compile(r"[\d.,]+ \w+ are free")
_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
HOME = "/srv/studio"
"""What the page calls the folder in which it is played."""


def shown(page: str, language: str) -> str:
    """Return the text of all blocks of a language."""
    return "".join(text for found, text in _BLOCK.findall(page) if found == language)


def played(page: str, folder: Path, **variables: str) -> str:
    """Return the page as it is with the outputs of today: files are written, and commands run, in its order.

    What goes to stderr is left out for `batchgen run`, whose progress is never the same. Shells see the same variables.
    """

    def block(found: re.Match[str]) -> str:
        language, text = found.groups()
        if language == "console":
            commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
            text = "\n".join(f"$ {command}\n{_run(command, folder, variables)}" for command in commands)
        elif name := _FILE.match(text):
            (folder / name[1]).write_text(text, encoding="utf-8")
        return f"```{language}\n{text}```"

    return _BLOCK.sub(block, page)


def undated(page: str) -> str:
    """Return a page with the digits of all dates and times, and the free room of a disk, made equal."""
    return _FREE.sub("0 GiB are free", _DATE.sub(lambda found: re.sub(r"\d", "0", found[0]), page))


def _run(command: str, folder: Path, variables: dict[str, str]) -> str:
    ours, rest = re.fullmatch(r"(batchgen [^|>]*)?(.*)", command).groups()  # type: ignore[union-attr]  # matches all
    printed, told, code = "", "", 0
    if ours:
        result = batchgen(*shlex.split(ours)[1:], cwd=folder, key=None, **variables)
        printed, told, code = (
            result.stdout,
            "" if ours.startswith("batchgen run ") else result.stderr,
            result.returncode,
        )
    if rest:
        # What is left is `> FILE` or `| PROGRAM`, or a command that is not ours.
        result = subprocess.run(
            ["/bin/sh", "-c", f"cat {rest}" if ours else rest],
            cwd=folder, env={**os.environ, **variables, "PATH": _PATH}, input=printed, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        printed, told, code = result.stdout, told + result.stderr, code or result.returncode
    end = f"(exit code {code})\n" if code else ""
    text = (printed + told + end).replace(str(folder), HOME)
    return text.replace(variables["BATCHGEN_BASE_URL"], "http://127.0.0.1:8018")


def check_page(page_file: Path, tmp_path: Path) -> None:
    """Play a page, whose `sh` blocks say how the simulator is started and which variables are set, and compare."""
    page = page_file.read_text(encoding="utf-8")
    setting_up = shown(page, "sh").replace("\\\n", " ")
    (simulated,) = re.findall(r"^batchgen simulate --port \d+ --unmarked (.*)$", setting_up, re.MULTILINE)
    variables = dict(re.findall(r"([A-Z0-9_]+)=(\S+)", setting_up))
    folder = tmp_path / "studio"
    (folder / "output").mkdir(parents=True)
    with simulator(*shlex.split(simulated)) as api:
        variables["BATCHGEN_BASE_URL"] = api.url
        now = played(page, folder, **variables)
    if os.environ.get("WRITE_DOCS"):
        page_file.write_text(now, encoding="utf-8")
    assert undated(now) == undated(page)
    assert not re.search(r"^(error: |0 items settled)", page, re.MULTILINE)  # no page shows commands that do nothing
