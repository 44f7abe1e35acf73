"""A run folder has one owner: others are refused, change nothing, and may look."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from support.running import FAST, KEY, simulator, start

from batchgen.cli.boundary import guarded


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder; without SQLite's shared memory, where readers leave their marks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith("-shm")
    }


def test_a_second_process_is_refused_and_may_only_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API18_KEY", KEY)
    manifest = tmp_path / "job.yaml"
    lines = [f"{{id: mug-{number}, model: hera-1.0-text-to-image, prompt: Mug {number}}}" for number in range(12)]
    manifest.write_text(f"version: 1\nname: job\nitems: [{', '.join(lines)}]\n", encoding="utf-8")
    run = tmp_path / "output" / "job"
    # Half of the answers are lost, so that there is something to resolve as well.
    with simulator("--speed", 20, "--media", "tiny", "--fault", "lost_answer=0.5", "--seed", 3) as api:
        owner = start("run", "job.yaml", "--base-url", api.url, "--concurrency", 3, *FAST, cwd=tmp_path)
        try:
            while api.account()["accepted"] < 4 and owner.poll() is None:
                time.sleep(0.01)
            # Stopped, so that whatever changes was changed by the others.
            owner.send_signal(signal.SIGSTOP)
            before, accepted = contents(run), len(api.jobs())
            assert accepted >= 4
            for command in (
                ("run", manifest, "--base-url", api.url, *FAST),
                ("run", manifest, "--run", "job", "--simulate", "--quiet"),
                ("collect", run),
                ("verify", run, "--refetch"),
                ("resolve", run, "mug-0", "--not-charged"),
                ("resolve", run, "--export", tmp_path / "doubts.csv"),
            ):
                code = guarded([str(word) for word in command])
                output, errors = capsys.readouterr()
                assert (code, bool(output)) == (6, "--json" in command), (command, errors)
                assert f"in use by another batchgen (process {owner.pid} on {os.uname().nodename}" in errors
                assert len([line for line in errors.splitlines() if not line.startswith("run folder ")]) == 1
            for command in (
                ("status", run, "--json"),
                ("plan", manifest, "--json"),
                ("ledger", run),
                ("verify", run),
            ):
                assert guarded([str(word) for word in command]) == 0, command
                output, _ = capsys.readouterr()
                if command[0] == "status":
                    assert json.loads(output)["running"] is True
            assert contents(run) == before
            assert not (tmp_path / "doubts.csv").exists()
            assert len(api.jobs()) == accepted
        finally:
            owner.send_signal(signal.SIGCONT)
            owner.send_signal(signal.SIGINT)
            owner.communicate(timeout=30)
        assert owner.returncode == 130
