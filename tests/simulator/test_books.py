"""The simulator's money: charges, refunds, balances, and books that outlive a restart."""

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.simulated import IMAGE, KEY, LONG, OTHER_KEY, VIDEO, Clock, simulated

from batchgen.catalog import load_catalog, price_of
from batchgen.core.digest import canonical_json, digest_of
from batchgen.core.errors import UsageError
from batchgen.simulator import account_of

EARLIER = """
CREATE TABLE account (id TEXT PRIMARY KEY, paid TEXT NOT NULL, promo TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL,
  body TEXT NOT NULL, digest TEXT NOT NULL, acceptance INTEGER NOT NULL, cost TEXT NOT NULL, created_at REAL NOT NULL,
  started_at REAL NOT NULL, ends_at REAL, expires_at REAL NOT NULL, files_at REAL NOT NULL, outputs INTEGER NOT NULL,
  faults TEXT NOT NULL, refunded TEXT, polls INTEGER NOT NULL DEFAULT 0
);
PRAGMA application_id = 1111970633;
PRAGMA user_version = 1;
"""
"""The books as versions before `batchgen.provider` made them."""


def balanced(books: dict[str, Any]) -> bool:
    charged, refunded, net = (Decimal(books[name]) for name in ("charged", "refunded", "net"))
    return charged - refunded == net and Decimal(books["paid"]) - net == Decimal(books["balance"])


async def test_a_job_is_charged_when_accepted_and_refunded_when_it_fails() -> None:
    async with simulated(faults={"failed": 0.4}, balance=Decimal(50)) as api:
        bodies = [{**IMAGE, "prompt": f"kite {n}"} for n in range(40)]
        jobs = [await api.accepted(body) for body in bodies]
        before = await api.books()
        price = price_of(load_catalog().models[IMAGE["model"]], IMAGE)
        assert Decimal(before["charged"]) == 40 * price
        assert (before["refunded"], before["in_progress"]) == ("0", 40)
        api.clock.advance(LONG)
        failed = [job for job in [await api.job(job["id"]) for job in jobs] if job["status"] == "failed"]
        assert 0 < len(failed) < 40
        assert all(job["error"] and job["data"] == [] and job["cost_usd"] == price for job in failed)
        books = await api.books()
        assert Decimal(books["refunded"]) == len(failed) * price
        assert (books["accepted"], books["failed"], books["completed"]) == (40, len(failed), 40 - len(failed))
        assert books["in_progress"] == 0
        assert balanced(before)
        assert balanced(books)
        rows = (await api.books("jobs"))["jobs"]
        assert sum(Decimal(row["cost"]) - Decimal(row["refunded"]) for row in rows) == Decimal(books["net"])


async def test_the_balance_is_spent_to_the_last_cent_and_not_beyond() -> None:
    async with simulated(balance=Decimal("2.00")) as api:
        await api.accepted(VIDEO)
        await api.accepted(VIDEO)
        answer = await api.post(VIDEO)
        assert (answer.status, answer.error) == (402, "insufficient_balance")
        books = await api.books()
        assert (books["balance"], books["accepted"]) == ("0.00", 2)
        await api.ask("POST", "/_simulator/balance", key=None, data=b'{"paid": "1.00"}')
        await api.accepted(VIDEO)
        assert (await api.post(VIDEO)).status == 402


async def test_a_refund_can_be_spent_again() -> None:
    async with simulated(balance=Decimal("1.00"), faults={"failed": 1}) as api:
        await api.accepted(VIDEO)
        assert (await api.post(VIDEO)).status == 402
        api.clock.advance(LONG)
        await api.accepted(VIDEO)


async def test_promotional_credit_buys_nothing() -> None:
    async with simulated(balance=Decimal(0), promo=Decimal(10)) as api:
        answer = await api.post(IMAGE)
        assert (answer.status, answer.error) == (402, "paid_balance_required")
        assert (await api.books())["promo"] == "10"
    async with simulated(balance=Decimal(0), promo=Decimal(0)) as api:
        assert (await api.post(IMAGE)).error == "insufficient_balance"


async def test_what_was_bought_twice_shows() -> None:
    other_order = json.dumps(dict(reversed(IMAGE.items())), indent=1).encode()
    async with simulated() as api:
        await api.accepted(IMAGE)
        await api.accepted({**IMAGE, "prompt": "another"})
        assert (await api.books())["duplicates"] == 0
        await api.accepted(other_order)
        await api.accepted(IMAGE)
        books = await api.books()
        assert (books["accepted"], books["duplicates"]) == (4, 1)
        rows = (await api.books("jobs"))["jobs"]
        assert [row["acceptance"] for row in rows] == [1, 1, 2, 3]
        assert rows[2]["body"] == other_order.decode()
        assert rows[2]["digest"] == digest_of(canonical_json(IMAGE))


async def test_the_pages_for_tests() -> None:
    async with simulated(keys=frozenset({KEY, OTHER_KEY})) as api:
        job = await api.accepted(IMAGE)
        await api.job(job["id"])
        await api.job(job["id"])
        await api.post(VIDEO, key=None)
        row = (await api.books("jobs"))["jobs"][0]
        assert (row["id"], row["polls"], row["state"], row["cost"]) == (job["id"], 2, "processing", "0.056")
        assert (row["account"], row["refunded"], row["completed_at"]) == (account_of(KEY), "0", None)
        assert (await api.books(f"jobs?account={account_of(OTHER_KEY)}"))["jobs"] == []
        assert (await api.books(f"account?account={account_of(OTHER_KEY)}"))["accepted"] == 0
        assert (await api.books())["accounts"].keys() == {account_of(KEY), account_of(OTHER_KEY)}
        counts = {(c["endpoint"], c["status"]): c["count"] for c in (await api.books("requests"))["requests"]}
        assert counts == {
            ("POST /v1/generate", "202"): 1,
            ("POST /v1/generate", "401"): 1,
            ("GET /v1/jobs/{id}", "200"): 2,
        }
        for method, path, data in (
            ("GET", "/_simulator/nothing", None),
            ("GET", "/_simulator/account?account=nobody", None),
            ("POST", "/_simulator/balance?account=nobody", b"{}"),
        ):
            assert (await api.ask(method, path, data=data)).status == 404
        for data in (b"", b"[]", b'{"paid": "much"}', b'{"paid": "NaN"}', b'{"paid": [1]}'):
            assert (await api.ask("POST", "/_simulator/balance", data=data)).status == 400
        topped = await api.ask(
            "POST", f"/_simulator/balance?account={account_of(KEY)}", data=b'{"paid": "5", "promo": "1"}'
        )
        assert Decimal(topped.json["balance"]) == Decimal("1004.944")
        assert (await api.books())["promo"] == "1"


async def test_nobody_can_be_topped_up_before_the_first_request() -> None:
    async with simulated() as api:
        assert (await api.ask("POST", "/_simulator/balance", data=b'{"paid": "5"}')).status == 409


async def test_a_long_list_of_jobs_is_whole() -> None:
    async with simulated(balance=Decimal(10_000)) as api:
        for n in range(450):
            await api.accepted({**IMAGE, "prompt": f"kite {n}"})
        rows = (await api.books("jobs"))["jobs"]
        assert [row["number"] for row in rows] == list(range(1, 451))
        assert len({row["id"] for row in rows}) == 450


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"state": tmp_path / "books.sqlite3", "faults": {"failed": 0.5}, "clock": Clock()}
    bodies = [{**IMAGE, "prompt": f"kite {n}"} for n in range(20)]
    async with simulated(**settings) as api:
        early = [await api.accepted(body) for body in bodies[:10]]
        api.clock.advance(LONG)
        assert (await api.books())["in_progress"] == 0
        late = [await api.accepted(body) for body in bodies[10:]]
        await api.job(late[0]["id"])
        await api.ask("POST", "/_simulator/balance", data=b'{"paid": "5"}')
        before, jobs_before = await api.books(), (await api.books("jobs"))["jobs"]
        shown = {job["id"]: await api.job(job["id"]) for job in early}
        origin = api.simulator.url
    async with simulated(**settings) as api:
        assert await api.books() == before
        polled = [{**row, "polls": row["polls"] + (row["number"] <= 10)} for row in jobs_before]
        assert (await api.books("jobs"))["jobs"] == polled
        for job_id, job in shown.items():
            again = json.loads(json.dumps(await api.job(job_id), default=str).replace(api.simulator.url, origin))
            assert again == json.loads(json.dumps(job, default=str))
        api.clock.advance(LONG)
        books = await api.books()
        assert balanced(books)
        assert books["in_progress"] == 0
        assert 0 < books["failed"] < 20
        again = await api.accepted(bodies[0])
        assert again["id"] not in shown
        assert (await api.books())["duplicates"] == 1
    async with simulated(**settings) as api:
        assert (await api.books())["accepted"] == 21


async def test_books_of_an_earlier_version_open(tmp_path: Path) -> None:
    path, now = tmp_path / "books.sqlite3", Clock().now.timestamp()
    account = account_of(KEY)
    text = canonical_json(IMAGE)
    rows = [("whole", ""), ("failed", "failed"), ("gone", "gone"), ("late", "late_file"), ("empty", "empty")]
    ids = {name: f"{number:024x}" for number, (name, _) in enumerate(rows, 1)}
    with sqlite3.connect(path) as db:
        db.executescript(EARLIER)
        db.execute("INSERT INTO account VALUES (?, '10', '0')", (account,))
        for number, (name, faults) in enumerate(rows, 1):
            outputs, refunded = int(name != "empty"), "0.5" if name == "failed" else None
            db.execute(
                "INSERT INTO job VALUES (?, ?, ?, ?, 'image', ?, ?, ?, '0.5', ?, ?, ?, ?, ?, ?, ?, ?, 2)",
                (number, ids[name], account, IMAGE["model"], text, digest_of(text), number, now - 90, now - 90,
                 now - 80, now + 86400, now - 60 if name == "late" else now - 80, outputs, faults, refunded),
            )  # fmt: skip
    db.close()
    async with simulated(state=path) as api:
        books = await api.books()
        assert (books["charged"], books["refunded"], books["balance"]) == ("2.5", "0.5", "8.0")
        assert (books["accepted"], books["completed"], books["failed"]) == (5, 4, 1)
        assert balanced(books)
        shown = {name: await api.job(job_id) for name, job_id in ids.items()}
        assert {name: (job["status"], len(job["data"])) for name, job in shown.items()} == {
            "whole": ("completed", 1), "failed": ("failed", 0), "gone": ("completed", 1), "late": ("completed", 1),
            "empty": ("completed", 0),
        }  # fmt: skip
        urls = {name: shown[name]["data"][0]["url"] for name in ("whole", "gone", "late")}
        assert [(await api.file(urls[name])).status for name in ("whole", "late")] == [200, 200]
        assert (await api.ask("GET", urls["gone"])).status == 410
        again = await api.accepted(IMAGE)
        assert again["id"] not in ids.values()


async def test_a_restarted_provider_goes_on_with_its_queue(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"state": tmp_path / "books.sqlite3", "capacity": 1, "clock": Clock(), "speed": 1}
    async with simulated(**settings) as api:
        first = await api.accepted(IMAGE)
    async with simulated(**settings) as api:
        second = await api.accepted(IMAGE)
        assert second["started_at"] is None
        api.clock.advance(LONG)
        assert (await api.job(second["id"]))["started_at"] == (await api.job(first["id"]))["completed_at"]


async def test_books_that_are_not_ours_or_in_use_are_left_alone(tmp_path: Path) -> None:
    foreign = tmp_path / "journal.sqlite3"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE item (id TEXT)")
    db.close()
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for one" * 50)
    for path in (foreign, text, tmp_path / "missing" / "books.sqlite3"):
        before = path.read_bytes() if path.exists() else b""
        with pytest.raises(UsageError):
            async with simulated(state=path):
                pass
        assert (path.read_bytes() if path.exists() else b"") == before
    async with simulated(state=tmp_path / "books.sqlite3"):
        with pytest.raises(UsageError, match="locked"):
            async with simulated(state=tmp_path / "books.sqlite3"):
                pass


async def test_the_books_on_disk_hold_no_key(tmp_path: Path) -> None:
    async with simulated(state=tmp_path / "books.sqlite3") as api:
        await api.accepted(IMAGE)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert IMAGE["prompt"].encode() in stored
    assert KEY.removeprefix("api18_").encode() not in stored
