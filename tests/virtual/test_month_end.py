"""A night over the end of a month, and the morning's books: every report agrees with the provider's bill to the cent.

Failures, doubts, drift, two clients, two time zones, and a budget that ends. `MONTH_END_ITEMS=5000` plays it in full.
"""

import csv
import io
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from PIL import Image
from support.readers.focus import focus_faults
from support.readers.hugging import load
from support.running import batchgen
from support.sharing import Sharing, committed, net, sharing

from batchgen.core.records import State
from batchgen.ledger import write_ledger
from batchgen.provider import ProviderJob
from batchgen.settings import Settings
from batchgen.shared_limits import SharedLimits
from batchgen.virtual import Duration, Fault, FaultPlan, Offer, make_items
from batchgen.virtual.harness import MODEL

PRICE = Decimal("0.05")
ITEMS = int(os.environ.get("MONTH_END_ITEMS", "240"))
NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")
EVENING = 30 * 86400.0 + 19 * 3600.0
"""The last evening of January, in the seconds of the virtual clock: 19:00 UTC."""
FAULTS = {
    Fault.FAILED: 0.06, Fault.REJECTED: 0.02, Fault.LOST_ANSWER: 0.02, Fault.DRIFT: 0.1, Fault.COST_LOW: 0.02,
    Fault.UNAVAILABLE: 0.02, Fault.FORGOTTEN: 0.01, Fault.POLL_ERROR: 0.02,
}  # fmt: skip


@dataclass
class Night:
    """What is there in the morning."""

    worlds: list[Sharing]

    @property
    def folders(self) -> list[Path]:
        return [world.folder for world in self.worlds]

    @property
    def output(self) -> Path:
        return self.folders[0].parent

    @property
    def jobs(self) -> list[ProviderJob]:
        return [job for world in self.worlds for job in world.provider.books.jobs.values()]

    def at(self, seconds: float) -> datetime:
        return self.worlds[0].clock.at(seconds)

    def refund(self, job: ProviderJob) -> Decimal:
        return job.refund(self.worlds[0].clock.seconds)

    def ledger(self, *flags: object) -> dict[str, object]:
        ended = batchgen("ledger", *self.folders, *flags, "--format", "json", cwd=self.output)
        assert ended.returncode == 0, ended.stderr
        return dict(json.loads(ended.stdout))

    def net(self, job: ProviderJob) -> Decimal:
        return job.cost - self.refund(job)

    @cached_property
    def unknown(self) -> list[ProviderJob]:
        """Jobs that the books have as doubts."""
        known = {row["job_id"] for row in self.rows}
        return [job for job in self.jobs if job.id not in known]

    @cached_property
    def silent(self) -> list[ProviderJob]:
        """Jobs that were refunded and forgotten: the books have them as lost."""
        lost = {row["job_id"] for row in self.rows if row["state"] == State.LOST}
        return [job for job in self.jobs if job.id in lost and self.refund(job)]

    @property
    def known(self) -> Decimal:
        """The bill without what the books cannot know, USD."""
        unknown = sum((self.net(job) for job in self.unknown), Decimal(0))
        return net(self.worlds) - unknown + sum((self.refund(job) for job in self.silent), Decimal(0))

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        found = []
        for folder in self.folders:
            with (folder / "ledger.csv").open(encoding="utf-8", newline="") as lines:
                found += list(csv.DictReader(lines))
        return found


def naming(run: str) -> Callable[..., str]:
    """Names jobs, so that no two of an account have one name."""
    return lambda _order, _account, number, _acceptance: f"{run}-job{number}"


@pytest.fixture(scope="module")
def night() -> Iterator[Night]:
    """Two clients and a run for both, one after the other in one evening, on one account and below one budget."""
    counts = {"acme": ITEMS * 2 // 5, "beta": ITEMS * 2 // 5, "both": ITEMS // 5}
    groups = []
    for name, count in counts.items():
        clients = ["acme", "beta"] if name == "both" else [name]
        items = make_items(count, name=f"{name}-")
        groups.append([replace(item, tags=(("client", clients[n % len(clients)]),)) for n, item in enumerate(items)])
    limits = SharedLimits(month=PRICE * ITEMS * 9 / 10, zone=NEW_YORK, zone_name="America/New_York")
    with sharing(limits, groups) as worlds:
        first = worlds[0]
        first.clock.advance(EVENING)
        for world in worlds:
            # One bill, and books of its own for each run, so that the promises of each can be checked.
            world.clock = world.provider.clock = first.clock
            world.provider.offer = Offer(durations={MODEL: Duration(300.0, 0.3)})
            world.provider.core._name_job = naming(world.folder.name)
            world.provider.follow(FaultPlan(FAULTS))
            world.settings = Settings(concurrency=max(4, ITEMS // 60), max_in_doubt=ITEMS, poll_min=15, poll_max=30)
        words = []
        for world in worlds:
            words.append(world.invoke().word)
            world.end()
            write_ledger(world.folder.name, world.folder)
        assert words == [None, None, "month"]
        assert [world.violations for world in worlds] == [[], [], []]
        yield Night(worlds)


def total(report: dict[str, object], name: str) -> Decimal:
    return Decimal(dict(report["total"])[name])  # type: ignore[call-overload]  # JSON


def test_the_night_had_everything(night: Night) -> None:
    states = {row["state"] for row in night.rows}
    assert {State.DONE, State.FAILED, State.REJECTED, State.IN_DOUBT} <= states
    assert total(night.ledger(), "drifted") > 0
    assert committed(night.worlds[0]) <= night.worlds[0].limits.month or total(night.ledger(), "drift_usd") > 0
    assert {night.at(job.created_at).date().month for job in night.jobs} == {1, 2}


@pytest.mark.parametrize("by", ["model", "day", "month", "state", "run", "tag:client"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/Berlin"])
def test_every_report_agrees_with_the_bill(night: Night, by: str, zone: str) -> None:
    report = night.ledger("--by", by, "--tz", zone)
    assert total(report, "net_usd") == night.known
    groups = [Decimal(group["net_usd"]) for group in report["groups"]]  # type: ignore[attr-defined]  # JSON
    assert sum(groups) == total(report, "net_usd")
    assert total(report, "in_doubt_usd") >= PRICE * len(night.unknown)


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN])
def test_each_day_and_month_has_its_own_charges_and_refunds(night: Night, zone: ZoneInfo) -> None:
    for by, length in (("day", 10), ("month", 7)):
        expected: dict[str, Decimal] = defaultdict(Decimal)
        for job in night.jobs:
            if job not in night.unknown:
                expected[night.at(job.created_at).astimezone(zone).isoformat()[:length]] += job.cost
                if (refund := night.refund(job)) and job not in night.silent:
                    expected[night.at(job.ends_at).astimezone(zone).isoformat()[:length]] -= refund
        report = night.ledger("--by", by, "--tz", str(zone))
        found = {group["group"]: Decimal(group["net_usd"]) for group in report["groups"]}  # type: ignore[attr-defined]
        assert {name: amount for name, amount in found.items() if amount and name} == {
            name: amount for name, amount in expected.items() if amount
        }


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN])
def test_focus_agrees_with_the_bill_in_each_month(night: Night, zone: ZoneInfo) -> None:
    ended = batchgen("ledger", *night.folders, "--format", "focus", "--tz", zone, cwd=night.output)
    assert ended.returncode == 0, ended.stderr
    assert focus_faults(ended.stdout) == []
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in csv.DictReader(io.StringIO(ended.stdout, newline="")):
        month = datetime.fromisoformat(row["BillingPeriodStart"]).astimezone(zone).isoformat()[:7]
        found[month] += Decimal(row["BilledCost"])
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for job in night.jobs:
        if job not in night.unknown:
            expected[night.at(job.created_at).astimezone(zone).isoformat()[:7]] += job.cost
            if (refund := night.refund(job)) and job not in night.silent:
                expected[night.at(job.ends_at).astimezone(zone).isoformat()[:7]] -= refund
    assert found == expected
    assert sum(found.values()) == night.known
    assert f"{len(night.unknown)} items in doubt" in ended.stderr


def test_each_client_pays_for_its_own(night: Night) -> None:
    report = night.ledger("--by", "tag:client", "--by", "month")
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in night.rows:
        found[row["tag_client"]] += Decimal(row["net_usd"])
    by_client = night.ledger("--by", "tag:client")
    named = {group["group"]: Decimal(group["net_usd"]) for group in by_client["groups"]}  # type: ignore[attr-defined]
    assert named == dict(found)
    assert total(report, "net_usd") == sum(found.values())


def test_the_bill_and_the_books_differ_in_what_only_the_provider_knows(night: Night, tmp_path: Path) -> None:
    bill = tmp_path / "bill.csv"
    with bill.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows(
            [["job_id", "amount"], *([job.id, format(night.net(job), "f")] for job in night.jobs)]
        )
    ended = batchgen("ledger", *night.folders, "--match", bill, "--format", "json", cwd=night.output)
    assert ended.returncode == 1, ended.stderr
    match = json.loads(ended.stdout)
    assert Decimal(match["bill"]["net_usd"]) == net(night.worlds)
    assert Decimal(match["books"]["net_usd"]) == night.known
    unknown = {job.id for job in night.unknown if night.net(job)}
    assert {found["job_id"] for found in match["only_in_bill"]} == unknown
    assert match["only_in_books"] == []
    assert {found["job_id"] for found in match["differing"]} == {job.id for job in night.silent}
    assert len(match["doubts"]) == len(night.unknown)


def test_what_was_made_is_handed_over_and_costs_what_it_cost(night: Night, tmp_path: Path) -> None:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for folder in night.folders:
        dest = tmp_path / folder.name
        ended = batchgen("export", folder, dest, "--costs", "--zip", cwd=night.output)
        assert ended.returncode == 0, ended.stderr
        pictures = sorted((dest / "images").rglob("*.png"))
        for picture in pictures:
            with Image.open(picture) as opened:
                opened.verify()
        with (dest / "costs.csv").open(encoding="utf-8", newline="") as lines:
            costs = list(csv.DictReader(lines))
        assert {row["item_id"] for row in costs} == {picture.stem for picture in pictures}
        for row in costs:
            found[row["tag_client"]] += Decimal(row["net_usd"])
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for row in night.rows:
        if row["state"] == State.DONE:
            expected[row["tag_client"]] += Decimal(row["net_usd"])
    assert found == expected
    loaded = load(tmp_path / night.folders[0].name / "images", tmp_path / "cache")
    done = [row for row in night.rows if row["run"] == night.folders[0].name and row["state"] == State.DONE]
    assert sorted(row["item_id"] for row in loaded["rows"]) == sorted(row["item_id"] for row in done)
    assert loaded["sizes"]


def test_the_books_balance(night: Night) -> None:
    ended = batchgen("ledger", *night.folders, "--check", cwd=night.output)
    assert ended.returncode == 0, ended.stdout + ended.stderr
