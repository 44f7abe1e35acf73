"""The classic mistakes of this trade, planted one by one: the checks of virtual time must catch each of them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.api import Accepted, Job, JobStatus, NotSent, SubmitAnswer, Unclear
from batchgen.core.records import State
from batchgen.journal import FILE_NAME, Attempt, Journal
from batchgen.journal.recovery.replay import Replay
from batchgen.media import Media
from batchgen.policy.budget import BudgetTracker, Charge, Money
from batchgen.policy.budget_port import Grant
from batchgen.policy.retry import AdaptiveLimit
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.receipts import Line, Receipts
from batchgen.scheduler.pending import QueuedItem
from batchgen.scheduler.poller import Poller
from batchgen.scheduler.pricing import confirm_price
from batchgen.scheduler.submitter import Submitter
from batchgen.scheduler.tracked_job import TrackedJob
from batchgen.settings import Settings
from batchgen.virtual import DeadlockError, Fault, FaultPlan, Naming, Offer, SpinningError, World, make_items
from batchgen.virtual.harness import MODEL

Plant = Callable[[pytest.MonkeyPatch], None]

FAULTS = FaultPlan({
    Fault.LOST_ANSWER: 0.05,
    Fault.UNAVAILABLE: 0.05,
    Fault.FAILED: 0.2,
    Fault.HTML: 0.1,
    Fault.POLL_ERROR: 0.05,
})  # fmt: skip


def gauntlet(folder: Path) -> list[str]:
    """Run a folder through faults, crashes and a cap, then through calm; return the promises that were broken."""
    for seed in range(3):
        settings = Settings(concurrency=8, max_cost=Decimal("1.50"), max_in_doubt=100)
        world = World(folder / str(seed), make_items(40), seed=seed, settings=settings, faults=FAULTS)
        # The first while eight submissions are on their way, the others anywhere.
        for crash_at, older in ((32 + 2 * seed, None), (60 + 7 * seed, FILE_NAME), (150, RECEIPTS), (None, FILE_NAME)):
            world.invoke(crash_at=crash_at)
            if older is not None:
                world.put_back(older)
            world.keep_copies()
        world.provider.follow(FaultPlan())
        world.invoke(settings=Settings(concurrency=8, max_in_doubt=100))
        if world.violations:
            return world.violations
        if not world.settled():
            return ["not all has ended"]
    return []


def test_nothing_is_caught_where_nothing_is_planted(tmp_path: Path) -> None:
    assert gauntlet(tmp_path) == []


def sends_again_after_every_error(patch: pytest.MonkeyPatch) -> None:
    handle = Submitter._handle_answer

    async def again(self: Submitter, attempt: Attempt, queued: QueuedItem, answer: SubmitAnswer, sent: float) -> None:
        await handle(self, attempt, queued, NotSent("again") if isinstance(answer, Unclear) else answer, sent)

    patch.setattr(Submitter, "_handle_answer", again)


def sends_again_after_a_crash(patch: pytest.MonkeyPatch) -> None:
    def pending(self: Journal) -> int:
        self.db.execute("DELETE FROM attempt WHERE state = 'submitting'")
        return self.db.execute("UPDATE item SET state = 'pending' WHERE state = 'submitting'").rowcount

    patch.setattr(Journal, "doubt_interrupted", pending)


def sends_before_the_intent_is_on_disk(patch: pytest.MonkeyPatch) -> None:
    async def post(self: Submitter, queued: QueuedItem, grant: Grant, *, wait: bool) -> None:
        run_state, policy, work = self._run_state, self._run_state.policy, queued.work
        sent = run_state.now
        answer = await self._answer(work.item.model, work.item.body, wait=wait)
        attempt = await run_state.record(
            run_state.ports.journal.record_intent,
            work,
            policy.account,
            policy.catalog_version,
            run_state.ports.utc_now(),
            reserved=grant.amount,
        )
        run_state.state_changed(work, State.PENDING, State.SUBMITTING)
        await self._handle_answer(attempt, queued, answer, sent)

    patch.setattr(Submitter, "_post", post)


def forgets_refunds(patch: pytest.MonkeyPatch) -> None:
    def nothing(self: BudgetTracker, charge: Charge, *, bought_now: bool) -> BudgetTracker:
        return self

    patch.setattr(BudgetTracker, "refund", nothing)


def counts_refunds_twice(patch: pytest.MonkeyPatch) -> None:
    refund = BudgetTracker.refund

    def twice(self: BudgetTracker, charge: Charge, *, bought_now: bool) -> BudgetTracker:
        return refund(refund(self, charge, bought_now=bought_now), charge, bought_now=bought_now)

    patch.setattr(BudgetTracker, "refund", twice)


def polls_before_the_answer_is_on_disk(patch: pytest.MonkeyPatch) -> None:
    async def accepted(self: Submitter, attempt: Attempt, answer: Accepted, sent: float) -> None:
        run_state = self._run_state
        early = replace(
            attempt, state=State.PROCESSING, charged=attempt.reserved, named_price=answer.job.cost,
            job_id=answer.job.id, accepted_at=run_state.ports.utc_now(), expires_at=answer.job.expires_at,
        )  # fmt: skip
        run_state.budget.charge(attempt.grant, attempt.reserved)
        confirm_price(run_state, early)
        run_state.state_changed(attempt.work, State.SUBMITTING, State.PROCESSING)
        assert answer.job.status is JobStatus.PROCESSING
        tracked = TrackedJob(early, sent)
        settle = self._poller.settle

        async def late(of: TrackedJob, job: Any) -> None:
            if of.attempt.charged is not None and of.attempt.key == early.key and of is tracked:
                await run_state.record(
                    run_state.ports.journal.accept, attempt, answer.job, b"", run_state.ports.utc_now()
                )
            await settle(of, job)

        patch.setattr(self._poller, "settle", late)
        self._poller.add(tracked)

    patch.setattr(Submitter, "_accepted", accepted)


def caps_without_work_in_flight(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Money, "committed", property(lambda self: self.charged - self.refunded))


def ignores_the_concurrency(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AdaptiveLimit, "allowed", property(lambda _: 1000))
    patch.setattr(Submitter, "_is_crowded", lambda _: False)


def saves_a_page_of_html(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("batchgen.download.saving.inspect_bytes", lambda _: Media("png", "image"))


def takes_a_lost_answer_for_a_refusal(patch: pytest.MonkeyPatch) -> None:
    async def handle(self: Submitter, attempt: Attempt, queued: QueuedItem, answer: SubmitAnswer, sent: float) -> None:
        if isinstance(answer, Unclear):
            run_state = self._run_state
            await run_state.record(
                run_state.ports.journal.reject, attempt, "error", answer.reason, run_state.ports.utc_now()
            )
            run_state.budget.release(attempt.grant)
            self._submission_ended(attempt, State.REJECTED)
        else:
            await original(self, attempt, queued, answer, sent)

    original = Submitter._handle_answer
    patch.setattr(Submitter, "_handle_answer", handle)


def gives_a_job_up_after_one_unanswered_poll(patch: pytest.MonkeyPatch) -> None:
    def give_up(self: Poller, tracked: TrackedJob, answer: Any) -> None:
        self._run_state.in_flight -= 1

    patch.setattr(Poller, "_not_answered", give_up)


def asks_for_a_job_only_once(patch: pytest.MonkeyPatch) -> None:
    def enough(self: Poller, tracked: TrackedJob) -> None:
        self._run_state.in_flight -= 1

    patch.setattr(Poller, "_still_processing", enough)


def believes_the_journal_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replay, "take", lambda *_: None)


def tells_the_receipts_no_intent(patch: pytest.MonkeyPatch) -> None:
    append = Receipts.append

    def some(self: Receipts, lines: Iterable[Line], *, sync: bool) -> None:
        append(self, [line for line in lines if not line.text.startswith('{"intent"')], sync=sync)

    patch.setattr(Receipts, "append", some)


def lets_any_price_leave(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BudgetTracker, "may_submit", lambda *_: True)


def takes_an_acceptance_for_a_confirmation(patch: pytest.MonkeyPatch) -> None:
    charge = BudgetTracker.charge

    def confirmed(self: BudgetTracker, price: Decimal, charged: Decimal) -> BudgetTracker:
        after = charge(self, price, charged)
        for key in {*after.unconfirmed.values()}:
            after = after.confirm(key, MODEL, charged, charged)
        return after

    patch.setattr(BudgetTracker, "charge", confirmed)


def counts_doubts_with_the_tables_price(patch: pytest.MonkeyPatch) -> None:
    doubt = Money.doubt
    patch.setattr(Money, "doubt", lambda self, price: replace(doubt(self, price), in_doubt=self.in_doubt + ESTIMATE))


def takes_the_cost_of_a_failed_job_for_its_price(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Job, "told", lambda self, before: before if self.cost is None else self.cost)


def keeps_the_first_price(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Job, "told", lambda self, before: self.cost if before is None else before)


ESTIMATE = make_items(1)[0].estimated
MISTAKES_WITH_PRICES: list[tuple[Plant, dict[Fault, float]]] = [
    (lets_any_price_leave, {}),
    (takes_an_acceptance_for_a_confirmation, {Fault.COST_MISSING: 1.0}),
    (counts_doubts_with_the_tables_price, {Fault.LOST_ANSWER: 0.3}),
    (takes_the_cost_of_a_failed_job_for_its_price, {Fault.FAILED: 0.5}),
    (keeps_the_first_price, {Fault.COST_LOW: 1.0}),
]


def market(folder: Path, rates: dict[Fault, float]) -> list[str]:
    """Buy under a cap where all costs five times what the tables say; return the promises that were broken."""
    offer = Offer(prices={MODEL: Decimal("0.25")}, naming=Naming(refunds_to_zero=True))
    settings = Settings(concurrency=8, max_cost=Decimal("2.00"), max_in_doubt=100)
    world = World(folder, make_items(20), settings=settings, faults=FaultPlan(rates), offer=offer)
    world.invoke()
    return world.violations


@pytest.mark.parametrize(("plant", "rates"), MISTAKES_WITH_PRICES, ids=lambda part: getattr(part, "__name__", ""))
def test_a_mistake_with_prices_is_caught(
    plant: Plant, rates: dict[Fault, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert market(tmp_path / "without", rates) == []
    plant(monkeypatch)
    assert market(tmp_path / "with", rates)


MISTAKES: list[Plant] = [
    believes_the_journal_alone,
    tells_the_receipts_no_intent,
    sends_again_after_every_error,
    sends_again_after_a_crash,
    sends_before_the_intent_is_on_disk,
    forgets_refunds,
    counts_refunds_twice,
    polls_before_the_answer_is_on_disk,
    caps_without_work_in_flight,
    ignores_the_concurrency,
    saves_a_page_of_html,
    takes_a_lost_answer_for_a_refusal,
    gives_a_job_up_after_one_unanswered_poll,
    asks_for_a_job_only_once,
]


@pytest.mark.parametrize("plant", MISTAKES, ids=lambda plant: plant.__name__)
def test_a_planted_mistake_is_caught(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert gauntlet(tmp_path)


def test_a_run_that_spins_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Poller.start

    def now(self: Poller) -> float | None:
        return None if start(self) is None else self._run_state.now

    monkeypatch.setattr(Poller, "start", now)
    with pytest.raises(SpinningError):
        gauntlet(tmp_path)


def test_a_run_that_waits_for_nothing_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Poller.start

    def never(self: Poller) -> None:
        start(self)

    monkeypatch.setattr(Poller, "start", never)
    with pytest.raises(DeadlockError):
        gauntlet(tmp_path)
