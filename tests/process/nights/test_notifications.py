"""`--ping`, `--notify` and `--on-exit`: what others are told, and that a run does not care whether they listen."""

import asyncio
import json
import os
import shlex
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.held import HELD
from support.hooks import Hooks, hooks
from support.running import COMMAND, FAST, KEY, batchgen, installed, simulator, start

import batchgen as library
from batchgen.library import notifying
from batchgen.notifications.message import Patience
from batchgen.session.host import Notice
from batchgen.session.summary import FIGURES

PROMPT = "A canary in a coal mine"
ID = "kanarienvogel"
QUICK = ("--speed", 500, "--media", "tiny")
IMPATIENT = Patience(attempt=20.0, waits=(0.0, 0.0), linger=30.0)


def manifest(folder: Path, items: int = 4, name: str = "spring", more: str = "") -> Path:
    lines = [f"version: 1\nname: {name}{more}\nitems:"]
    lines += [f"- {{id: {ID}-{n}, model: hera-1.0-text-to-image, prompt: '{PROMPT} {n}'}}" for n in range(items)]
    path = folder / f"{name}.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def told(server: Hooks) -> tuple[str, ...]:
    return "--ping", f"{server.url}/S3CRET/?rid=7", "--notify", f"{server.url}/hook/S3CRET"


def pings(server: Hooks) -> list[str]:
    return [word for word, _ in server.at("/S3CRET/")]


def posts(server: Hooks) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in server.at("/hook/")]


def log_of(folder: Path, name: str = "spring") -> str:
    return (folder / "output" / name / "batchgen.log").read_text(encoding="utf-8")


def test_everybody_is_told_of_the_beginning_and_the_end(tmp_path: Path) -> None:
    manifest(tmp_path)
    note = tmp_path / "told.json"
    command = f'cat > {note}; env > {tmp_path}/variables; echo "it cost $BATCHGEN_NET_USD"'
    with hooks() as server, simulator(*QUICK) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server), "--on-exit", command)
        result = installed(*options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (start_, end) = server.at("/S3CRET/")
    assert start_ == ("start?rid=7", "")
    assert end[0] == "0?rid=7"
    assert {"done: 4", "net_usd: 0.224", "exit_code: 0", "simulated: false"} <= set(end[1].splitlines())
    (post,) = posts(server)
    shown = json.loads(result.stdout)
    assert set(post) == {*FIGURES, "event", "at", "text"}
    assert {name: post[name] for name in FIGURES} == {name: shown[name] for name in FIGURES}
    assert (post["event"], post["run"], post["exit_code"]) == ("end", "spring", 0)
    assert post["text"] == "spring finished (exit code 0). 4 of 4 done; $0.224 net"
    assert json.loads(note.read_text(encoding="utf-8")) == shown
    variables = dict(
        line.split("=", 1) for line in (tmp_path / "variables").read_text(encoding="utf-8").splitlines() if "=" in line
    )
    assert (variables["BATCHGEN_RUN"], variables["BATCHGEN_EXIT_CODE"], variables["BATCHGEN_DONE"]) == (
        "spring",
        "0",
        "4",
    )
    assert Path(variables["BATCHGEN_RUN_FOLDER"]) == tmp_path / "output" / "spring"
    assert "API18_KEY" not in variables
    assert "note: --on-exit: it cost 0.224" in result.stderr
    log = log_of(tmp_path)
    assert f"INFO the ping of exit code 0 was delivered to {server.url}\n" in log
    assert f"INFO the notification `end` was delivered to {server.url}\n" in log
    assert "INFO --on-exit: it cost 0.224\n" in log


def test_what_leaves_the_machine_has_no_prompt_no_id_no_path_and_no_key(tmp_path: Path) -> None:
    """Also where the API repeats prompts in its messages, and where ids stand in the run's own."""
    manifest(tmp_path, 12)
    with hooks() as server, simulator(*QUICK, "--fault", "failed=0.3", "--fault", "lost_answer=0.2") as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server), "--max-cost", "0.30")
        result = batchgen(*options, cwd=tmp_path)
        assert result.returncode == 3, result.stderr
    sent = json.dumps(server.told)
    assert {post["event"] for post in posts(server)} == {"cap", "doubt", "end"}
    for secret in (PROMPT, ID, KEY, str(tmp_path), "api18"):
        assert secret not in sent
        assert secret.lower() not in sent.lower()
    assert "S3CRET" not in result.stderr + result.stdout + log_of(tmp_path)


def test_a_cap_and_the_first_doubt_are_told_while_it_runs_and_once(tmp_path: Path) -> None:
    manifest(tmp_path, 20)
    with hooks() as server, simulator(*QUICK, "--fault", "lost_answer=0.15") as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, "--notify", f"{server.url}/hook/")
        batchgen(*options, "--max-cost", "0.80", cwd=tmp_path)
        first = posts(server)
        batchgen(*options, "--max-cost", "0.80", cwd=tmp_path)
    assert sorted(post["event"] for post in first) == ["cap", "doubt", "end"]
    by_event = {post["event"]: post for post in first}
    assert "at least 80% of max_cost is used" in by_event["cap"]["text"]
    assert "may have been charged" in by_event["doubt"]["text"]
    assert by_event["doubt"]["in_doubt"] >= 1
    assert by_event["doubt"]["exit_code"] is None
    assert all(set(post) == {*FIGURES, "event", "at", "text"} for post in first)
    again = posts(server)[len(first) :]
    assert [post["event"] for post in again] == ["end"], "the cap was near before, and no doubt is new"


def test_a_doubt_that_a_kill_left_behind_is_told_by_the_next_run(tmp_path: Path) -> None:
    manifest(tmp_path, 3)
    with hooks() as server, simulator(*HELD) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, "--notify", f"{server.url}/hook/")
        process = start(*options, cwd=tmp_path, BATCHGEN_SUBMIT="wait")
        while api.account()["accepted"] < 2 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=30)
        result = batchgen(*options, cwd=tmp_path)
    assert result.returncode == 4, result.stderr
    assert [post["event"] for post in posts(server)] == ["doubt", "end"]


def test_the_months_budget_is_told_as_a_cap_once_in_the_month(tmp_path: Path) -> None:
    manifest(tmp_path, 9)
    (tmp_path / "batchgen.toml").write_text("[budget]\nmonth = 0.60\nwarn = [80]\n", encoding="utf-8")
    with hooks() as server, simulator(*QUICK) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, "--notify", f"{server.url}/hook/")
        for _ in range(2):
            assert batchgen(*options, cwd=tmp_path).returncode == 0
    assert sorted(post["event"] for post in posts(server)) == ["cap", "end", "end"]
    assert "80 % of the month's budget is reached" in next(p["text"] for p in posts(server) if p["event"] == "cap")


def test_the_estimate_that_was_confirmed_is_no_cap_that_somebody_set(tmp_path: Path) -> None:
    manifest(tmp_path)
    with hooks() as server, simulator(*QUICK) as api:
        batchgen("run", "spring.yaml", "--base-url", api.url, *FAST, "--notify", f"{server.url}/hook/", cwd=tmp_path)
    assert [post["event"] for post in posts(server)] == ["end"]


def test_a_pause_for_doubts_is_told(tmp_path: Path) -> None:
    manifest(tmp_path, 8)
    with hooks() as server, simulator(*QUICK, "--fault", "lost_answer=1") as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, "--notify", f"{server.url}/hook/")
        result = batchgen(*options, cwd=tmp_path, BATCHGEN_MAX_IN_DOUBT="3")
    assert result.returncode == 5, result.stderr
    assert [post["event"] for post in posts(server)] == ["doubt", "paused", "end"]
    assert posts(server)[-1]["stopped_because"] == "in_doubt"


def test_a_simulated_run_tells_that_it_is_one(tmp_path: Path) -> None:
    manifest(tmp_path, 2)
    with hooks() as server:
        result = batchgen("run", "spring.yaml", "--simulate", "--quiet", *told(server), cwd=tmp_path, key=None)
    assert result.returncode == 0, result.stderr
    (post,) = posts(server)
    assert (post["simulated"], post["run"]) == (True, "spring.simulated")
    assert "pretend money" in post["text"]
    assert "simulated: true" in server.at("/S3CRET/")[1][1]


# ---- every way to end -----------------------------------------------------------------------------------------------


def test_a_run_that_is_refused_is_told_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "spring.yaml").write_text("version: 1\nname: spring\nitems: []\n", encoding="utf-8")
    with hooks() as server:
        result = batchgen("run", "spring.yaml", *told(server), "--on-exit", "cat", cwd=tmp_path)
        assert result.returncode == 2
        assert pings(server) == ["start?rid=7", "2?rid=7"]
        assert (posts(server)[0]["run"], posts(server)[0]["exit_code"]) == (None, 2)
        assert posts(server)[0]["text"] == "spring.yaml refused, nothing was bought (exit code 2)"
        assert '"exit_code": 2' in result.stderr
        assert not (tmp_path / "output").exists()
        manifest(tmp_path)
        unconfirmed = batchgen("run", "spring.yaml", *told(server), cwd=tmp_path)
        assert unconfirmed.returncode == 2
        assert pings(server)[2:] == ["start?rid=7", "2?rid=7"]
        assert posts(server)[1]["run"] == "spring"


def test_failures_are_told_without_what_the_api_said_of_them(tmp_path: Path) -> None:
    manifest(tmp_path)
    with hooks() as server, simulator(*QUICK, "--fault", "failed=1") as api:
        result = batchgen("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server), cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    word, body = server.at("/S3CRET/")[1]
    assert word == "1?rid=7"
    assert {"4 failed: hera-1.0-text-to-image", "to buy 4 failed items again: $0.224"} <= set(body.splitlines())


def test_a_bug_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("nobody expected this")

    manifest(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("batchgen.session.session.execute", broken)
    with hooks() as server:
        result = batchgen("run", "spring.yaml", "--simulate", *told(server), cwd=tmp_path)
    assert result.returncode == 70
    assert pings(server) == ["start?rid=7", "70?rid=7"]
    assert posts(server)[0]["text"] == "spring.simulated stopped by a bug (exit code 70)"


def test_an_interruption_is_told(tmp_path: Path) -> None:
    manifest(tmp_path, 6)
    with hooks() as server, simulator("--media", "tiny") as api:
        process = start("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server), cwd=tmp_path)
        while not api.account()["accepted"] and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert pings(server) == ["start?rid=7", "130?rid=7"]
    assert posts(server)[-1]["stopped_because"] == "interrupted"


# ---- when nobody listens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "problem"), [(500, "it answered 500"), (404, "it answered 404"), (302, "it answered 302 (a redirect")]
)
def test_a_server_that_refuses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, problem: str
) -> None:
    monkeypatch.setattr(notifying, "PATIENCE", IMPATIENT)
    manifest(tmp_path, 2)
    with hooks(lambda _: status) as server, simulator(*QUICK) as api:
        result = batchgen("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server), cwd=tmp_path)
    assert result.returncode == json.loads(result.stdout)["exit_code"] == 0
    for what in ("the ping of the start", "the ping of exit code 0", "the notification `end`"):
        sentence = f"{what} was not delivered to {server.url}: {problem}"
        assert f"note: {sentence}" in result.stderr
        assert f"WARNING {sentence}" in log_of(tmp_path)
    assert "S3CRET" not in result.stderr + log_of(tmp_path)
    assert not [path for path, _ in server.told if "elsewhere" in path]


def test_a_server_that_hangs_delays_the_end_by_a_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "PATIENCE", Patience(attempt=60.0, linger=0.5))
    manifest(tmp_path, 2)
    with hooks(lambda _: None) as server, simulator(*QUICK) as api:
        result = batchgen("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server), cwd=tmp_path)
        assert result.returncode == 0  # reached although the server answers only once the block is left
        assert "the ping of exit code 0 was not delivered" in result.stderr
        assert "there was no answer within 0.5 s" in log_of(tmp_path)


def test_a_command_that_fails_or_hangs_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest(tmp_path, 1)
    with simulator(*QUICK) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, "--on-exit")
        failed = batchgen(*options, "echo oh no >&2; exit 9", cwd=tmp_path)
        monkeypatch.setattr(notifying, "TIME_LIMIT", 0.3)
        hung = batchgen(*options, "sleep 600", cwd=tmp_path)
    assert failed.returncode == 0
    assert "note: --on-exit: oh no" in failed.stderr
    assert "note: --on-exit: it ended with exit code 9" in failed.stderr
    assert "WARNING --on-exit: it ended with exit code 9" in log_of(tmp_path)
    assert hung.returncode == 0
    assert "note: --on-exit: it was ended: it took longer than 0.3 s" in hung.stderr


def test_whatever_breaks_in_here_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", broken)
    targets = notifying.Targets.of({"ping": "http://127.0.0.1:9/x", "proxy": None}, {})
    heard: list[object] = []
    notifier = notifying.Notifier(targets, Path("spring.yaml"), {}, heard.append, IMPATIENT)
    notifier.start()
    notifier.end()
    texts = [event.text for event in heard if isinstance(event, Notice)]
    what = ("the ping of the start", "the ping of exit code 0")
    assert texts == [f"{word} was not delivered: can't start new thread" for word in what]


def test_a_command_that_cannot_be_started_keeps_nobody_from_being_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    manifest(tmp_path, 1)
    monkeypatch.setattr("batchgen.notifications.command.tempfile.TemporaryFile", full)
    with hooks() as server, simulator(*QUICK) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server))
        result = batchgen(*options, "--on-exit", "true", cwd=tmp_path)
    assert result.returncode == 0
    assert "note: a notification failed: [Errno 28] No space left on device" in result.stderr
    assert pings(server) == ["start?rid=7", "0?rid=7"]
    assert [post["event"] for post in posts(server)] == ["end"]


def test_a_run_folder_that_is_gone_meanwhile_is_no_trouble(tmp_path: Path) -> None:
    manifest(tmp_path, 1)
    with hooks() as server, simulator(*QUICK) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, *told(server))
        result = batchgen(*options, "--on-exit", 'rm -r "$BATCHGEN_RUN_FOLDER"', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert pings(server) == ["start?rid=7", "0?rid=7"]
    assert not (tmp_path / "output" / "spring").exists()


def test_what_looks_like_a_key_is_not_shown_of_a_commands_output(tmp_path: Path) -> None:
    manifest(tmp_path, 1)
    with simulator(*QUICK) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, "--on-exit", f"echo the key is {KEY}")
        result = batchgen(*options, cwd=tmp_path)
    assert "note: --on-exit: the key is api18_***" in result.stderr
    assert KEY not in result.stderr + log_of(tmp_path)


# ---- which, and where from ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--ping", "--notify"])
def test_only_https_or_this_machine_and_nothing_is_bought_before_that_is_clear(tmp_path: Path, option: str) -> None:
    manifest(tmp_path)
    result = batchgen("run", "spring.yaml", "--simulate", option, "http://hooks.example/S3CRET", cwd=tmp_path)
    assert result.returncode == 2
    assert f"{option}: the address must begin with https://" in result.stderr
    assert "S3CRET" not in result.stderr
    assert not (tmp_path / "output").exists()


def test_variables_name_them_and_an_empty_option_turns_one_off(tmp_path: Path) -> None:
    manifest(tmp_path, 1)
    with hooks() as server, simulator(*QUICK) as api:
        variables = {
            "BATCHGEN_PING": f"{server.url}/S3CRET?rid=7",
            "BATCHGEN_NOTIFY": f"{server.url}/hook/",
            "BATCHGEN_ON_EXIT": f"touch {tmp_path}/ran",
        }
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST, "--notify", "")
        result = batchgen(*options, cwd=tmp_path, **variables)
        assert result.returncode == 0, result.stderr
    assert pings(server) == ["start?rid=7", "0?rid=7"]
    assert posts(server) == []
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", ["ping", "notify", "on_exit"])
def test_a_manifest_names_none_of_them(tmp_path: Path, key: str) -> None:
    """It may come from anybody."""
    manifest(tmp_path, more=f"\nrun: {{{key}: touch pwned}}")
    result = batchgen("run", "spring.yaml", "--simulate", cwd=tmp_path)
    assert result.returncode == 2
    assert key in result.stderr
    assert not (tmp_path / "pwned").exists()


def test_the_command_finds_the_run_folder_free_and_its_own_run_calls_it_no_more(tmp_path: Path) -> None:
    manifest(tmp_path, 1)
    with simulator(*QUICK) as api:
        options = ("run", "spring.yaml", "--base-url", api.url, *FAST)
        again = f"API18_KEY={KEY} {shlex.join([COMMAND, *map(str, options)])}"
        result = batchgen(*options, cwd=tmp_path, BATCHGEN_ON_EXIT=f"echo x >> {tmp_path}/calls; {again}")
    assert result.returncode == 0, result.stderr
    assert "--on-exit: it ended" not in result.stderr
    assert (tmp_path / "calls").read_text(encoding="utf-8") == "x\n"


# ---- from Python ----------------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> library.Manifest:
    monkeypatch.chdir(tmp_path)
    return library.load(manifest(tmp_path, 2))


def test_keywords_do_the_same(tmp_path: Path, loaded: library.Manifest) -> None:
    with hooks() as server, simulator(*QUICK) as api:
        targets = {"ping": f"{server.url}/S3CRET/", "notify": f"{server.url}/hook/", "on_exit": f"touch {tmp_path}/ran"}
        summary = loaded.run(base_url=api.url, key=KEY, max_cost="1", poll_min=0.05, poll_max=0.2, **targets)
    assert summary.exit_code == 0
    assert pings(server) == ["start", "0"]
    assert [post["event"] for post in posts(server)] == ["end"]
    assert (tmp_path / "ran").exists()


async def test_the_event_loop_does_not_wait_for_them(tmp_path: Path, loaded: library.Manifest) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with simulator(*QUICK) as api:
        command = f"touch {tmp_path}/reached; cat {fifo}"
        running = asyncio.ensure_future(loaded.arun(base_url=api.url, key=KEY, max_cost="1", on_exit=command))
        while not (tmp_path / "reached").exists():
            assert not running.done()
            await asyncio.sleep(0.02)
        await asyncio.to_thread(fifo.write_text, "go on")  # a loop that stood still would never come here
        assert (await running).exit_code == 0


async def test_a_cancellation_is_told_as_an_interruption(loaded: library.Manifest) -> None:
    with hooks() as server, simulator("--media", "tiny") as api:
        running = asyncio.ensure_future(
            loaded.arun(base_url=api.url, key=KEY, max_cost="1", ping=f"{server.url}/S3CRET/")
        )
        while not await asyncio.to_thread(lambda: api.account()["accepted"]):
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert pings(server) == ["start", "130"]


def test_what_is_refused_is_told_and_raised(loaded: library.Manifest) -> None:
    with hooks() as server, pytest.raises(library.UsageError):
        loaded.run(ping=f"{server.url}/S3CRET/", only="no-such-*", simulate=True)
    assert pings(server) == ["start", "2"]
