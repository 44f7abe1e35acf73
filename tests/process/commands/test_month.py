"""A month's budget and the account's concurrency, shared by the runs of an output folder."""

import shutil
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from support.running import FAST, Simulated, batchgen, simulator, start, summary_of

from batchgen.shared_limits.books import DATABASE_NAME

PRICE = Decimal("0.056")
"""Of one image."""


@pytest.fixture
def api() -> Iterator[Simulated]:
    with simulator("--speed", 1000, "--media", "tiny") as running:
        yield running


def project(tmp_path: Path, limits: str) -> Path:
    (tmp_path / "output").mkdir()
    (tmp_path / "batchgen.toml").write_text(limits, encoding="utf-8")
    return tmp_path


def manifest(folder: Path, name: str, items: int, tags: str = "{}") -> Path:
    path = folder / f"{name}.yaml"
    lines = [f"  - {{id: {name}-{n}, prompt: Picture {n} of {name}}}" for n in range(items)]
    path.write_text(
        f"version: 1\nname: {name}\ntags: {tags}\ndefaults: {{model: hera-1.0-text-to-image}}\nitems:\n"
        + "\n".join(lines) + "\n",
        encoding="utf-8",
    )  # fmt: skip
    return path


def run(api: Simulated, path: Path, *more: object) -> dict[str, object]:
    """Run, and return the summary, with what was told as `stderr`."""
    ended = batchgen("run", path, "--base-url", api.url, *FAST, *more, cwd=path.parent)
    assert ended.stdout, ended.stderr
    return {**summary_of(ended), "stderr": ended.stderr}


def spent(folder: Path) -> Decimal:
    with closing(sqlite3.connect(folder / "output" / DATABASE_NAME)) as db:
        (units,) = db.execute("SELECT SUM(charged + in_doubt + reserved) FROM spent WHERE scope = ''").fetchone()
    return Decimal(units or 0) / 10**9


def charged(api: Simulated) -> Decimal:
    return Decimal(str(api.account()["charged"]))


def test_runs_share_a_months_budget_one_after_the_other(api: Simulated, tmp_path: Path) -> None:
    folder = project(tmp_path, "[budget]\nmonth = 0.30\n")
    first, second = manifest(folder, "first", 3), manifest(folder, "second", 5)
    assert run(api, first)["exit_code"] == 0
    stopped = run(api, second)
    assert (stopped["exit_code"], stopped["stopped_because"], stopped["done"]) == (3, "month", 2)
    assert spent(folder) == charged(api) == 5 * PRICE
    assert run(api, second)["done"] == 2  # nothing more, since nothing is left
    (folder / "batchgen.toml").write_text("[budget]\nmonth = 1\n", encoding="utf-8")
    assert (run(api, second)["exit_code"], charged(api)) == (0, 8 * PRICE)


def test_a_plan_says_what_is_left(api: Simulated, tmp_path: Path) -> None:
    folder = project(tmp_path, "[budget]\nmonth = 0.30\ntz = 'Europe/Berlin'\n")
    first, second = manifest(folder, "first", 3), manifest(folder, "second", 5)
    said = [
        batchgen("plan", first, cwd=folder).stdout,
        run(api, first)["exit_code"],
        batchgen("plan", second, cwd=folder).stdout,
    ]
    assert "$0.00 of it is spent" in str(said[0])
    assert "the month's budget is $0.30" in str(said[2])
    assert "$0.168 of it is spent, reserved or in doubt, so buying would stop after $0.132" in str(said[2])


def test_two_runs_at_once_share_it(tmp_path: Path) -> None:
    folder = project(tmp_path, f"[budget]\nmonth = {20 * PRICE}\n")
    with simulator("--speed", 200, "--media", "tiny", "--fault", "failed=0.2", "--fault", "lost_answer=0.05") as api:
        paths = [manifest(folder, name, 60) for name in ("one", "two")]
        flags = ("--base-url", api.url, *FAST)
        both = [start("run", path, *flags, cwd=folder) for path in paths]
        ended = [process.communicate(timeout=120) for process in both]
        assert [process.returncode for process in both] == [3, 3], ended
        account, jobs = api.account(), api.jobs()
    net = Decimal(account["charged"]) - Decimal(account["refunded"])
    assert 18 * PRICE <= spent(folder) <= 20 * PRICE
    assert net <= spent(folder)  # which counts doubts too
    bodies = [job["body"] for job in jobs]
    assert len(bodies) == len(set(bodies))


def test_a_killed_run_keeps_its_reservations_until_it_starts_again(api: Simulated, tmp_path: Path) -> None:
    folder = project(tmp_path, "[budget]\nmonth = 5\n")
    path = manifest(folder, "killed", 40)
    with simulator("--speed", 20, "--media", "tiny") as slow:
        process = start("run", path, "--base-url", slow.url, *FAST, cwd=folder)
        while not slow.jobs():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        assert spent(folder) >= len(slow.jobs()) * PRICE
        ended = run(slow, path)
        account = slow.account()
    assert ended["exit_code"] in (0, 4)  # 4: a request was on its way
    in_doubt = Decimal(str(ended["in_doubt_usd"]))
    assert spent(folder) == Decimal(str(ended["net_usd"])) + in_doubt
    assert Decimal(str(ended["net_usd"])) <= Decimal(account["charged"]) <= spent(folder)


def test_what_was_bought_before_the_budget_was_set_counts(api: Simulated, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    first, second = manifest(tmp_path, "first", 4), manifest(tmp_path, "second", 4)
    assert run(api, first)["exit_code"] == 0
    (tmp_path / "batchgen.toml").write_text("[budget]\nmonth = 0.30\n", encoding="utf-8")
    assert (run(api, second)["stopped_because"], charged(api)) == ("month", 5 * PRICE)


def test_a_tags_budget_stops_its_items_alone(api: Simulated, tmp_path: Path) -> None:
    folder = project(tmp_path, "[budget.tags.client]\nacme = 0.12\n")
    path = manifest(folder, "mixed", 0)
    lines = [
        f"  - {{id: i{n}, prompt: Picture {n}, tags: {{client: {'acme' if n % 2 else 'other'}}}}}" for n in range(10)
    ]
    path.write_text(path.read_text(encoding="utf-8") + "\n".join(lines) + "\n", encoding="utf-8")
    ended = run(api, path)
    assert (ended["stopped_because"], ended["done"], ended["pending"]) == ("month", 7, 3)
    assert "client=acme" in str(ended["stderr"]) or ended["exit_code"] == 3


def test_simulated_runs_never_count(tmp_path: Path) -> None:
    folder = project(tmp_path, "[budget]\nmonth = 0.01\n")
    path = manifest(folder, "pretended", 2)
    ended = batchgen("run", path, "--simulate", *FAST, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    with simulator("--speed", 1000, "--media", "tiny", marked=True) as marked:
        assert run(marked, path)["exit_code"] == 0
    assert not (folder / "output" / DATABASE_NAME).exists()


def test_a_warning_is_told_once_in_a_month(api: Simulated, tmp_path: Path) -> None:
    folder = project(tmp_path, '[budget]\nmonth = 0.56\nwarn = [50, 90]\ntz = "Europe/Berlin"\n')
    told = [
        batchgen(
            "run", manifest(folder, name, 3), "--base-url", api.url, "--poll-min", "0.05", "--yes", cwd=folder
        ).stderr
        for name in ("first", "second", "third")
    ]
    assert ["50 %" in text for text in told] == [False, True, False]
    assert ["90 %" in text for text in told] == [False, False, True]


def test_a_run_whose_folder_is_gone_counts_until_it_is_forgotten(api: Simulated, tmp_path: Path) -> None:
    folder = project(tmp_path, "[budget]\nmonth = 0.30\n")
    assert run(api, manifest(folder, "gone", 4))["exit_code"] == 0
    refused = batchgen("ledger", "--forget", "gone", "--yes", "--output", folder / "output", cwd=folder)
    assert (refused.returncode, "is still there" in refused.stderr) == (2, True)
    shutil.rmtree(folder / "output" / "gone")
    second = manifest(folder, "second", 4)
    ended = run(api, second)
    assert (ended["stopped_because"], ended["done"]) == ("month", 1)
    asked = batchgen("ledger", "--forget", "gone", "--output", folder / "output", cwd=folder)
    assert (asked.returncode, "$0.224" in asked.stderr, "--yes" in asked.stderr) == (2, True, True)
    forgotten = batchgen("ledger", "--forget", "gone", "--yes", "--output", folder / "output", cwd=folder)
    assert (forgotten.returncode, "$0.224" in forgotten.stdout) == (0, True)
    assert run(api, second)["exit_code"] == 0
    alone = batchgen("ledger", "gone", "--yes", "--output", folder / "output", cwd=folder)
    assert (alone.returncode, "--yes belongs to --forget" in alone.stderr) == (2, True)
    unknown = batchgen("ledger", "--forget", "gone", "--yes", "--output", folder / "output", cwd=folder)
    assert unknown.returncode == 2


def test_runs_share_the_accounts_concurrency(tmp_path: Path) -> None:
    folder = project(tmp_path, "[account]\nconcurrency = 3\n")
    paths = [manifest(folder, name, 8) for name in ("one", "two")]
    with simulator("--speed", 20, "--media", "tiny") as api:
        flags = ("--base-url", api.url, *FAST)
        both = [start("run", path, *flags, cwd=folder) for path in paths]
        most, stop = 0, threading.Event()

        def look() -> None:
            nonlocal most
            while not stop.wait(0.02):
                most = max(most, sum(job["state"] == "processing" for job in api.jobs()))

        looking = threading.Thread(target=look)
        looking.start()
        try:
            ended = [process.communicate(timeout=120) for process in both]
        finally:
            stop.set()
            looking.join()
        assert [process.returncode for process in both] == [0, 0], ended
    assert 2 <= most <= 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budget]\nmonth = -1\n", "`budget.month` must be an amount"),
        ("[budget]\nmonht = 1\n", "did you mean `budget.month`?"),
        ('[budget]\nmonth = 1\ntz = "Mars/Base"\n', "time zone"),
        ("[account]\nconcurrency = 0\n", "`account.concurrency`"),
        ("[budget", "batchgen.toml"),
    ],
)
def test_wrong_limits_are_refused_before_anything_is_bought(
    api: Simulated, tmp_path: Path, text: str, said: str
) -> None:
    folder = project(tmp_path, text)
    refused = batchgen("run", manifest(folder, "job", 1), "--base-url", api.url, *FAST, cwd=folder)
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert not api.jobs()


def test_limits_that_are_not_used_are_told(api: Simulated, tmp_path: Path) -> None:
    """They are beside the manifest, but the output folder was found further up."""
    (tmp_path / "output").mkdir()
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "batchgen.toml").write_text("[budget]\nmonth = 0.05\n", encoding="utf-8")
    path = manifest(shop, "m", 1)
    told = f"{shop / 'batchgen.toml'} is not used: it belongs beside the output folder, {tmp_path / 'output'}"
    assert told in run(api, path, "--max-cost", 1)["stderr"]
    plan = batchgen("plan", path, cwd=shop)
    assert told in plan.stdout + plan.stderr
    assert told not in batchgen("run", path, "--simulate", *FAST, cwd=shop).stderr, "pretend money has no limits"
    (tmp_path / "batchgen.toml").symlink_to(shop / "batchgen.toml")
    assert told not in run(api, path, "--max-cost", 1)["stderr"]
