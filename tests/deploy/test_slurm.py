"""The script of a SLURM array: its tasks, played here, and what SLURM's own sbatch and controller say of it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.running import COMMAND, KEY, ROOT, Simulated, environment, simulator

from batchgen.shards import shard_number

SCRIPT = ROOT / "deploy" / "slurm" / "shards.sbatch"
UNPACKED = ROOT / "build" / "slurm"
"""Where `make deploy-test` unpacks SLURM."""
Submit = Callable[[Path], "subprocess.CompletedProcess[str]"]


def started(folder: Path, api: Simulated, task: int, node: str, **more: str) -> subprocess.Popen[str]:
    """Start one task of the array, on a node with a disk of its own."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "batchgen").unlink(missing_ok=True)
    (folder / "bin" / "batchgen").symlink_to(COMMAND)
    (folder / "key").write_text(KEY, encoding="utf-8")
    variables = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "SLURM_SUBMIT_DIR": str(folder),
        "SLURM_TMPDIR": str(folder / node),
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_COUNT": "2",
        "SLURM_ARRAY_TASK_MIN": "0",
        "SLURM_ARRAY_TASK_MAX": "1",
        "BATCHGEN_KEY_FILE": str(folder / "key"),
        "BATCHGEN_BASE_URL": api.url,
        **more,
    }
    return subprocess.Popen(
        ["/bin/bash", SCRIPT, "job.yaml"],
        cwd=folder, env=environment(**variables), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def played(folder: Path, api: Simulated, task: int, node: str, **more: str) -> subprocess.CompletedProcess[str]:
    """One task from its start to its end."""
    process = started(folder, api, task, node, **more)
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def manifest_of(folder: Path, items: int) -> None:
    lines = "".join(f"  - {{id: mug-{number}, prompt: Mug {number}}}\n" for number in range(items))
    (folder / "job.yaml").write_text(
        f"version: 1\nname: job\ndefaults: {{model: hera-1.0-text-to-image}}\nitems:\n{lines}", encoding="utf-8"
    )


def test_the_tasks_of_an_array_buy_all_once_on_whatever_nodes(tmp_path: Path) -> None:
    manifest_of(tmp_path, 10)
    with simulator("--speed", 1000, "--media", "tiny") as api:
        stopped = played(tmp_path, api, 0, "node-a", BATCHGEN_MAX_NEW="2")
        assert stopped.returncode == 3, stopped.stderr
        # Requeued to another node, whose disk is empty.
        again = played(tmp_path, api, 0, "node-b")
        assert again.returncode == 0, again.stderr
        assert "made anew from the receipts beside the lease" in again.stderr
        assert played(tmp_path, api, 1, "node-c").returncode == 0
        assert api.account()["accepted"] == 10
    runs = tmp_path / "batchgen" / "runs"
    assert sorted(path.name for path in runs.iterdir()) == ["job.0-of-2", "job.1-of-2"]
    assert len(list(runs.glob("*/files/*.png"))) == 10


def test_a_task_that_ends_for_want_of_the_api_is_queued_once_more(tmp_path: Path) -> None:
    manifest_of(tmp_path, 1)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "scontrol").write_text('#!/bin/sh\necho "$@" >> "$SLURM_SUBMIT_DIR/requeued"\nexit 1\n')
    (tmp_path / "bin" / "scontrol").chmod(0o755)
    with simulator("--fault", "unauthorized=1") as api:
        codes = [
            played(tmp_path, api, task, "node-a", SLURM_RESTART_COUNT=count).returncode
            for task, count in ((0, "0"), (0, "5"), (1, "0"), (1, "5"))
        ]
    asked = (tmp_path / "requeued").read_text(encoding="utf-8").split("\n")[:-1]
    assert sorted(codes) == [0, 0, 5, 5]
    assert len(asked) == 1
    assert asked[0] in ("requeue 77_0", "requeue 77_1")


def test_a_task_whose_time_is_up_ends_in_order_and_the_next_one_follows_at_once(tmp_path: Path) -> None:
    manifest_of(tmp_path, 8)
    with simulator("--speed", 5, "--media", "tiny") as api:
        task = started(tmp_path, api, 0, "node-a")
        while not api.account()["accepted"] and task.poll() is None:
            time.sleep(0.05)
        task.send_signal(signal.SIGTERM)
        _, errors = task.communicate(timeout=60)
        assert task.returncode == 130, errors
        assert (tmp_path / "batchgen" / "runs" / "job.0-of-2" / "journal.sqlite3").exists()
        again = played(tmp_path, api, 0, "node-b")
        assert again.returncode == 0, again.stderr
        assert "is taken over if no heartbeat comes" not in again.stderr
        assert api.account()["accepted"] == sum(shard_number(f"mug-{number}", 2) == 0 for number in range(8))


@pytest.fixture(scope="module")
def submit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submit]:
    """SLURM's sbatch, with a controller of its own that knows four nodes which do not exist."""
    plugins = UNPACKED / "usr/lib/x86_64-linux-gnu/slurm-wlm"
    if not plugins.is_dir():
        if os.environ.get("DEPLOY_TESTS"):
            pytest.fail(f"SLURM is not in {UNPACKED}; see `make deploy-test`")
        pytest.skip("SLURM is not unpacked; see `make deploy-test`")
    folder = tmp_path_factory.mktemp("slurm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "state").mkdir()
    host = socket.gethostname().partition(".")[0]
    lines = (
        "ClusterName=local", f"SlurmctldHost={host}(127.0.0.1)", "SlurmUser=root", "SlurmdUser=root",
        "AuthType=auth/none", "CredType=cred/none", f"PluginDir={plugins}", f"StateSaveLocation={folder / 'state'}",
        f"SlurmctldPidFile={folder / 'pid'}", f"SlurmctldPort={port}", f"SlurmctldLogFile={folder / 'log'}",
        "ProctrackType=proctrack/pgid", "SchedulerType=sched/builtin", "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core_Memory", "SwitchType=switch/none", "MpiDefault=none", "MaxArraySize=1000",
        "ResumeProgram=/bin/true", "SuspendProgram=/bin/true", "SuspendTime=600",
        "NodeName=n[1-4] CPUs=4 RealMemory=8000 State=CLOUD", "PartitionName=main Nodes=ALL Default=YES State=UP",
    )  # fmt: skip
    (folder / "slurm.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    variables = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "LD_LIBRARY_PATH": str(plugins)}
    controller = subprocess.Popen(
        [UNPACKED / "usr/sbin/slurmctld-wlm", "-D"], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def run(script: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [UNPACKED / "usr/bin/sbatch", "--test-only", script, "job.yaml"],
            cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield run
    finally:
        controller.terminate()
        controller.wait(timeout=30)


def test_sbatch_and_its_controller_take_the_script(submit: Submit) -> None:
    taken = submit(SCRIPT)
    assert taken.returncode == 0, taken.stderr
    assert "to start at" in taken.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("--array=0-3", "--array=0-x"), ("--requeue", "--requeued"), ("--signal=B:TERM@300", "--signal=B:TERN@300")],
)
def test_sbatch_refuses_a_script_with_a_fault(submit: Submit, tmp_path: Path, right: str, wrong: str) -> None:
    script = tmp_path / "wrong.sbatch"
    script.write_text(SCRIPT.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    assert submit(script).returncode != 0
