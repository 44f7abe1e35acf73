"""What docs/nights.md shows of cron, systemd, tmux and webhooks works as it stands."""

import json
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from support.hooks import hooks
from support.running import COMMAND, KEY, ROOT, simulator

from batchgen.cli.runs import run
from batchgen.session.summary import FIGURES

TEXT = (ROOT / "docs" / "nights.md").read_text(encoding="utf-8")
PING = "https://hc-ping.com/your-uuid"
BARE = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "me", "BATCHGEN_REGISTER": ""}
"""What cron gives a job (crontab(5)), and no register of runs outside the test."""


def section(title: str) -> str:
    """The text below a heading, up to the next one of its kind or a higher one."""
    level, _, rest = TEXT.partition(f" {title}\n")
    marks = level.rpartition("\n")[2]
    return re.split(rf"^#{{2,{len(marks)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def blocks(language: str, title: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as the examples have it."""
    (tmp_path / "spring").mkdir()
    lines = [f"- {{id: mug-{n}, model: hera-1.0-text-to-image, prompt: A mug}}" for n in range(2)]
    text = "\n".join(["version: 1", "name: spring", "run: {poll_min: 0.05, poll_max: 0.2}", "items:", *lines])
    (tmp_path / "spring" / "spring.yaml").write_text(f"{text}\n", encoding="utf-8")
    key = tmp_path / ".config" / "batchgen" / "key"
    command = next(line for line in TEXT.splitlines() if "install -m 600" in line).partition("#")[0]
    subprocess.run(["sh", "-c", command], env={**BARE, "HOME": str(tmp_path)}, check=True, timeout=30)
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_text(KEY, encoding="ascii")
    (tmp_path / ".local" / "bin").mkdir(parents=True)
    (tmp_path / ".local" / "bin" / "batchgen").symlink_to(COMMAND)
    return tmp_path


def night(home: Path, start: Callable[[dict[str, str]], subprocess.CompletedProcess[str]]) -> list[str]:
    """Run something with the environment that it is given, and return which pings came."""
    with hooks() as server, simulator("--speed", 500, "--media", "tiny") as api:
        ping = {"BATCHGEN_PING": f"{server.url}/check"}
        result = start({**BARE, "HOME": str(home), "BATCHGEN_BASE_URL": api.url, **ping})
        assert result.returncode == 0, result.stderr
    return [word for word, _ in server.at("/check/")]


def summary_in(home: Path) -> Any:
    return json.loads((home / "spring" / "output" / "spring" / "summary.json").read_text(encoding="utf-8"))


def test_the_line_for_cron_runs_in_the_environment_that_cron_gives(home: Path) -> None:
    (block,) = blocks("crontab", "cron")
    variable, line = block.strip().splitlines()
    assert variable == f"BATCHGEN_PING={PING}"
    found = re.fullmatch(r"[\d*]+ [\d*]+ [\d*]+ [\d*]+ [\d*-]+\s+(.*)", line)
    assert found is not None
    assert not re.search(r"(?<!\\)%", found[1]), "cron ends a command at a %, unless it is escaped"
    command = found[1].replace(r"\%", "%")

    def start(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command], env=variables, cwd=home, capture_output=True, text=True, timeout=60, check=False
        )

    assert night(home, start) == ["start", "0"]
    assert (summary_in(home)["done"], summary_in(home)["exit_code"]) == (2, 0)
    assert (home / "spring" / "night.log").exists()


def units() -> tuple[str, str]:
    service, timer = blocks("ini", "systemd")
    return service, timer


def test_the_service_runs_as_systemd_would_run_it(home: Path) -> None:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(units()[0])
    service = unit["Service"]
    assert service["Environment"] == f"BATCHGEN_PING={PING}"
    words = shlex.split(service["ExecStart"].replace("%h", str(home)).replace("%%", "%"))
    folder = service["WorkingDirectory"].replace("%h", str(home))

    def start(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=variables, cwd=folder, capture_output=True, text=True, timeout=60, check=False)

    assert night(home, start) == ["start", "0"]
    assert summary_in(home)["done"] == 2


def test_systemd_has_nothing_to_say_against_the_units(home: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    folder = home / ".config" / "systemd" / "user"
    folder.mkdir(parents=True)
    for kind, text in zip(("service", "timer"), units(), strict=True):
        (folder / f"batchgen-spring.{kind}").write_text(text.replace("%h", str(home)), encoding="utf-8")
    variables = {**BARE, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    result = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *map(str, sorted(folder.iterdir()))],
        env=variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")


def test_tmux_runs_what_it_is_given(home: Path) -> None:
    tmux = shutil.which("tmux")
    if tmux is None:
        pytest.skip("tmux is not installed")
    line = next(line for line in TEXT.splitlines() if line.startswith("tmux new-session"))
    words = [word.replace("batchgen run", f"{COMMAND} run") for word in shlex.split(line)[1:]]
    with simulator("--speed", 500, "--media", "tiny") as api:
        variables = {
            **BARE, "HOME": str(home), "TMUX_TMPDIR": str(home), "BATCHGEN_BASE_URL": api.url, "API18_KEY": KEY,
            "LANG": "C.UTF-8",
        }  # fmt: skip

        def call(*words: str) -> None:
            subprocess.run([tmux, *words], env=variables, cwd=home / "spring", check=True, timeout=30)

        call(*words)
        deadline = time.monotonic() + 60
        while not (home / "spring" / "output" / "spring" / "summary.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        call("kill-session", "-t", "night")
    assert summary_in(home)["done"] == 2


def test_every_option_that_is_shown_exists() -> None:
    known = {name for parameter in run.command.params for name in parameter.opts} | {"--json", "--yes"}
    lines = re.sub(r"--on-exit '[^']*'", "--on-exit", "\n".join(re.findall(r"batchgen run [^\n]*", TEXT)))
    shown = set(re.findall(r"(?<![\w-])(--[a-z-]+)", lines))
    assert len(shown) > 4
    assert shown <= known


def test_the_webhook_that_is_shown_has_the_keys_that_are_sent() -> None:
    (block,) = blocks("json", "A webhook")
    assert set(json.loads(block)) == {*FIGURES, "event", "at", "text"}


def test_every_event_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", section("A webhook"), re.MULTILINE))
    assert explained == {"end", "cap", "doubt", "paused"}
