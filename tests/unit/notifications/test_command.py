"""The command that is run when a run has ended."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from batchgen.notifications.command import CommandEnd, run_command

HERE = {"PATH": os.environ["PATH"]}


def test_a_shell_reads_it_and_it_is_given_figures_and_summary(tmp_path: Path) -> None:
    line = f'cat > "{tmp_path}/summary.json" && echo "$BATCHGEN_NET_USD net" | tr a-z A-Z'
    end = run_command(line, b'{"done": 3}', {"BATCHGEN_NET_USD": "0.18"}, HERE, 30)
    assert end == CommandEnd("0.18 NET\n", None)
    assert (tmp_path / "summary.json").read_bytes() == b'{"done": 3}'


def test_figures_are_never_read_as_commands(tmp_path: Path) -> None:
    hostile = f'"; touch {tmp_path}/pwned; echo $(touch {tmp_path}/pwned) `touch {tmp_path}/pwned`'
    end = run_command('echo "$BATCHGEN_TEXT"', b"", {"BATCHGEN_TEXT": hostile}, HERE, 30)
    assert end == CommandEnd(f"{hostile}\n", None)
    assert not (tmp_path / "pwned").exists()


def test_the_key_and_the_command_itself_are_not_handed_on() -> None:
    environment = {**HERE, "API18_KEY": "api18_canary0123456789", "BATCHGEN_ON_EXIT": "env", "MINE": "kept"}
    output = run_command("env", b"", {}, environment, 30).output
    assert "MINE=kept" in output
    assert "canary" not in output
    assert "BATCHGEN_ON_EXIT" not in output


def test_errors_are_part_of_its_output_and_its_exit_code_is_told() -> None:
    assert run_command("echo out; echo err >&2; exit 7", b"", {}, HERE, 30) == CommandEnd(
        "out\nerr\n", "it ended with exit code 7"
    )


def test_a_command_that_is_not_there_is_a_problem() -> None:
    end = run_command("no-such-command-here", b"", {}, HERE, 30)
    assert end.problem == "it ended with exit code 127"
    assert "not found" in end.output


def test_one_that_does_not_read_its_input_is_not_held_up() -> None:
    assert run_command("true", b"x" * 1_000_000, {}, HERE, 30) == CommandEnd("", None)


def test_a_long_output_is_kept_from_its_end() -> None:
    output = run_command("seq 1 100000", b"", {}, HERE, 30).output
    assert len(output) == 4000
    assert output.endswith("\n99999\n100000\n")


def test_one_that_takes_too_long_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    line = f"sleep 600 & echo $! > {tmp_path}/child; echo begun; wait"
    end = run_command(line, b"", {}, HERE, limit=2)
    assert end == CommandEnd("begun\n", "it was ended: it took longer than 2 s")
    child = int((tmp_path / "child").read_text(encoding="ascii"))
    deadline = time.monotonic() + 30
    while is_running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(process: int) -> bool:
    """Whether a process that is not ours is there, and is no zombie."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1] not in ("", "Z")


def test_one_that_will_not_end_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.notifications.command._GRACE", 0.2)
    end = run_command("trap '' TERM; echo begun; while :; do sleep 0.05; done", b"", {}, HERE, limit=0.5)
    assert end.problem == "it was ended: it took longer than 0.5 s"


def test_a_background_child_that_outlives_it_is_not_waited_for(tmp_path: Path) -> None:
    end = run_command(f"sleep 60 & echo $! > {tmp_path}/child", b"", {}, HERE, limit=30)
    os.kill(int((tmp_path / "child").read_text(encoding="ascii")), signal.SIGTERM)
    assert end == CommandEnd("", None)


def test_one_that_a_signal_ended_says_so() -> None:
    assert run_command("kill -9 $$", b"", {}, HERE, 30).problem == "it ended by signal 9"
