"""Takes the steps that a worker tells of in the coordinator's journal, and counts them as if it had bought alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from batchgen.core.records import State
from batchgen.core.text import printable, usd
from batchgen.engine.codec import (
    Json,
    UnreadableError,
    get_absence,
    get_bytes,
    get_file,
    get_findings,
    get_job,
    get_money,
    get_number,
    get_text,
    get_time,
    reading,
)
from batchgen.engine.coordinator.starts import Lent, Start
from batchgen.journal import Attempt
from batchgen.journal.delivered import Verdict
from batchgen.scheduler import RunState
from batchgen.scheduler.pricing import confirm_price
from batchgen.scheduler.run_state import log
from batchgen.scheduler.workers import Home

_Count = Callable[[], None]
"""Counts a step, once it is on disk."""
Step = Callable[[], _Count]
"""Takes a step in the journal, inside a transaction, and returns what counts it afterwards."""


class Steps:
    """What was told, in the coordinator's journal and figures."""

    def __init__(self, run_state: RunState, home: Home) -> None:
        self._run_state = run_state
        self._home = home
        self._unjudged: dict[int, tuple[Start, Attempt, Verdict]] = {}
        """Purchases all of whose files are on disk and not all judged, by the attempt's key."""

    def read(self, start: Start, tells: Sequence[Json]) -> list[Step]:
        """Return what takes the steps that a start tells of. Raises UnreadableError where one cannot be read."""
        return [step for tell in tells if (step := self._operation(start, tell)) is not None]

    async def take(self, start: Start, steps: Sequence[Step]) -> None:
        """Take steps of a start in their order, and count them; on disk when this returns.

        Raises DiskError, TransitionError.
        """
        before = [(lent, lent.attempt, lent.disputed) for lent in start.lent.values()]

        def operation() -> list[_Count]:
            # All of them or none, in this order. A commit that fails is repeated: from where it began.
            for lent, attempt, disputed in before:
                lent.attempt, lent.disputed = attempt, disputed
            return [step() for step in steps]

        if steps:
            for count in await self._run_state.record(operation):
                count()

    def _operation(self, start: Start, tell: Json) -> Step | None:
        """Return what takes a step in the journal, inside a transaction, and returns what counts it afterwards."""
        step = tell.get("step")
        if step == "record_judgement":
            return self._judgement(start, tell)
        make = self._STEPS.get(step) if isinstance(step, str) else None
        if make is None:
            raise UnreadableError(f"no step is called {printable(str(step), 40)}")
        lent = start.lent.get(str(tell.get("purchase")))
        if lent is None or lent.disputed:
            log.warning("a step of a purchase that is not %s's was told, and not taken: %s", start.worker, step)
            return None
        take: Step = reading(lambda content: make(self, start, lent, content), tell)

        def operation() -> _Count:
            # An acceptance that is told together with this step may prove to be another's.
            return _nothing if lent.disputed else take()

        return operation

    def judge_the_rest(self, start: Start) -> None:
        """Have the files judged here that a start, which is over, has brought and not judged."""
        left = [(attempt, verdict) for whose, attempt, verdict in self._unjudged.values() if whose is start]
        for attempt, verdict in left:
            del self._unjudged[attempt.key]
            self._home.finished(attempt, verdict)

    # ---- the answer to a request ----

    def _accepted(self, start: Start, lent: Lent, tell: Json) -> Step:
        job, raw, at = get_job(tell["job"]), get_bytes(tell["raw"]), _time(tell)
        asked = lent.attempt

        def operation() -> _Count:
            accepted = self._run_state.ports.journal.accept_or_doubt(asked, job, raw, at)
            if isinstance(accepted, str):
                lent.disputed = True
                return lambda: self._count_doubt(start, lent, accepted)
            lent.attempt = accepted
            return lambda: self._count_acceptance(start, accepted)

        return operation

    def _count_acceptance(self, start: Start, accepted: Attempt) -> None:
        run_state, item = self._run_state, accepted.work.item
        run_state.budget.charge(accepted.grant, accepted.charge.charged)
        if accepted.named_price is not None:
            confirm_price(run_state, accepted)
        run_state.api_health = run_state.api_health.definite()
        self._count_bought(start)
        run_state.state_changed(accepted.work, State.SUBMITTING, State.PROCESSING)
        log.info(
            "%s was accepted as job %s for $%s (%s)",
            item.id, accepted.job_id, usd(accepted.charge.charged), start.worker,
        )  # fmt: skip

    def _doubted(self, start: Start, lent: Lent, tell: Json) -> Step:
        reason, raw, asked = get_text(tell["reason"]), get_bytes(tell["raw"]), lent.attempt

        def operation() -> _Count:
            self._run_state.ports.journal.doubt(asked, reason, raw)
            return lambda: self._count_doubt(start, lent, reason)

        return operation

    def _count_doubt(self, start: Start, lent: Lent, reason: str) -> None:
        run_state, attempt = self._run_state, lent.attempt
        if lent.disputed:  # of other doubts, whoever had them has said so
            log.warning("%s is in doubt: %s", attempt.work.item.id, reason)
        run_state.budget.doubt(attempt.grant)
        run_state.api_health = run_state.api_health.unclear(run_state.now, attempt.reserved)
        self._count_bought(start)
        run_state.state_changed(attempt.work, State.SUBMITTING, State.IN_DOUBT)
        if not lent.disputed:
            start.lent.pop(attempt.purchase)
        self._home.doubted()

    def _count_bought(self, start: Start) -> None:
        start.bought += 1
        self._run_state.bought += 1
        self._run_state.lent -= 1

    def _rejected(self, start: Start, lent: Lent, tell: Json) -> Step:
        error_type, message, at = get_text(tell["error_type"]), get_text(tell["message"]), _time(tell)
        asked = lent.attempt

        def operation() -> _Count:
            self._run_state.ports.journal.reject(asked, error_type, message, at)
            return count

        def count() -> None:
            run_state = self._run_state
            self._release(start, asked)
            run_state.api_health = run_state.api_health.definite()
            run_state.state_changed(asked.work, State.SUBMITTING, State.REJECTED)
            run_state.count_failure()

        return operation

    def _cancelled(self, start: Start, lent: Lent, _: Json) -> Step:
        asked = lent.attempt

        def operation() -> _Count:
            self._run_state.ports.journal.cancel_intent(asked)
            return count

        def count() -> None:
            self._release(start, asked)
            start.items[asked.work.key] = lent.position, asked.work  # it may be asked for once more
            self._run_state.state_changed(asked.work, State.SUBMITTING, State.PENDING)

        return operation

    def _release(self, start: Start, asked: Attempt) -> None:
        """A request was certainly not charged."""
        start.lent.pop(asked.purchase)
        self._run_state.lent -= 1
        self._run_state.budget.release(asked.grant)

    # ---- the job ----

    def _priced(self, _: Start, lent: Lent, tell: Json) -> Step:
        price = get_money(tell["price"])

        def operation() -> _Count:
            before = lent.attempt
            after = lent.attempt = self._run_state.ports.journal.confirm_price(before, price)
            return lambda: count(before, after)

        def count(before: Attempt, after: Attempt) -> None:
            self._run_state.budget.correct(before.work.key, before.charge, after.charge, bought_now=True)
            confirm_price(self._run_state, after)

        return operation

    def _parked(self, _: Start, lent: Lent, __: Json) -> Step:
        def operation() -> _Count:
            return lambda: self._run_state.budget.unwatch(lent.attempt.work.key)

        return operation

    def _absent(self, _: Start, lent: Lent, tell: Json) -> Step:
        absence = get_absence(tell["absence"])

        def operation() -> _Count:
            self._run_state.ports.journal.record_absence(lent.attempt, absence)
            return _nothing

        return operation

    def _completed(self, _: Start, lent: Lent, tell: Json) -> Step:
        job, polls, took, at = get_job(tell["job"]), get_number(tell["polls"]), get_number(tell["took_ms"]), _time(tell)
        ordered = get_number(tell["ordered"])

        def operation() -> _Count:
            self._run_state.ports.journal.complete(lent.attempt, job, polls, took, at, ordered=ordered)
            attempt = lent.attempt = replace(lent.attempt, state=State.READY, scale=job.scale)
            return lambda: count(attempt)

        def count(attempt: Attempt) -> None:
            self._run_state.durations.add(attempt.work.item.model, attempt.price_key, took / 1000)
            self._count_end(attempt, State.READY)

        return operation

    def _more_outputs(self, _: Start, lent: Lent, tell: Json) -> Step:
        job, polls, ordered = get_job(tell["job"]), get_number(tell["polls"]), get_number(tell["ordered"])

        def operation() -> _Count:
            self._run_state.ports.journal.list_more_outputs(lent.attempt, job, polls, ordered=ordered)
            return _nothing

        return operation

    def _fewer_outputs(self, start: Start, lent: Lent, tell: Json) -> Step:
        reason = get_text(tell["reason"])

        def operation() -> _Count:
            journal = self._run_state.ports.journal
            if not journal.accept_fewer_outputs(lent.attempt, reason):
                return _nothing
            verdict = journal.verdict_of(lent.attempt.key)
            return lambda: self._count_done(start, lent.attempt, verdict)

        return operation

    def _failed(self, start: Start, lent: Lent, tell: Json) -> Step:
        job, polls, took, at = get_job(tell["job"]), get_number(tell["polls"]), get_number(tell["took_ms"]), _time(tell)

        def operation() -> _Count:
            attempt = lent.attempt
            self._run_state.ports.journal.fail(attempt, job, polls, took, at)
            return lambda: count(attempt)

        def count(attempt: Attempt) -> None:
            run_state = self._run_state
            run_state.budget.refund(attempt.work.key, attempt.charge, bought_now=True)
            start.lent.pop(attempt.purchase)
            self._count_end(attempt, State.FAILED)
            run_state.count_failure()

        return operation

    def _lost(self, start: Start, lent: Lent, tell: Json) -> Step:
        reason, at = get_text(tell["reason"]), _time(tell)
        polls = None if tell["polls"] is None else get_number(tell["polls"])

        def operation() -> _Count:
            attempt = lent.attempt
            self._run_state.ports.journal.lose(attempt, reason, at, polls=polls)
            return lambda: count(attempt)

        def count(attempt: Attempt) -> None:
            start.lent.pop(attempt.purchase)
            self._count_end(attempt, State.LOST)
            self._run_state.count_failure()

        return operation

    def _count_end(self, attempt: Attempt, state: State) -> None:
        """A job has ended, or its outputs are gone."""
        before = State.READY if attempt.state is State.READY and state is State.LOST else State.PROCESSING
        self._run_state.state_changed(attempt.work, before, state)
        self._run_state.budget.ended(attempt.work.key)

    # ---- the files ----

    def _delivered_file(self, start: Start, lent: Lent, tell: Json) -> Step:
        file, findings = get_file(tell["file"]), get_findings(tell["findings"])

        def operation() -> _Count:
            verdict = self._run_state.ports.journal.record_delivery(lent.attempt, file, findings)
            return lambda: count(verdict)

        def count(verdict: Verdict | None) -> None:
            self._run_state.file_arrived(file)
            if verdict is not None:
                self._count_done(start, lent.attempt, verdict)

        return operation

    def _count_done(self, start: Start, attempt: Attempt, verdict: Verdict) -> None:
        run_state = self._run_state
        start.lent.pop(attempt.purchase)
        run_state.state_changed(attempt.work, State.READY, State.DONE)
        if verdict.complete or not run_state.policy.standards.can_judge(attempt.work.item):
            run_state.judged(attempt.work, verdict.flags)
        else:
            self._unjudged[attempt.key] = start, attempt, verdict

    def _judgement(self, start: Start, tell: Json) -> Step | None:
        attempt, output, sha256, look, flags = reading(_read_judgement, tell)
        if attempt not in start.attempts:
            log.warning("a judgement of a file that is not %s's was told, and not taken", start.worker)
            return None

        def operation() -> _Count:
            verdict = self._run_state.ports.journal.put_judgement(attempt, output, sha256, look, flags)
            return lambda: count(verdict)

        def count(verdict: Verdict) -> None:
            if verdict.complete and (known := self._unjudged.pop(attempt, None)) is not None:
                self._run_state.judged(known[1].work, verdict.flags)

        return operation

    _STEPS: ClassVar[dict[str, Callable[..., Step]]] = {
        "accept_or_doubt": _accepted,
        "cancel_intent": _cancelled,
        "doubt": _doubted,
        "reject": _rejected,
        "confirm_price": _priced,
        "parked": _parked,
        "record_absence": _absent,
        "complete": _completed,
        "list_more_outputs": _more_outputs,
        "accept_fewer_outputs": _fewer_outputs,
        "fail": _failed,
        "lose": _lost,
        "record_delivery": _delivered_file,
    }


def _read_judgement(tell: Json) -> tuple[int, int, str, str | None, list[str]]:
    look = tell["look"]
    return (
        get_number(tell["attempt"]), get_number(tell["output"]), get_text(tell["sha256"]),
        None if look is None else get_text(look), list(map(get_text, tell["flags"])),
    )  # fmt: skip


def _nothing() -> None:
    """Count nothing."""


def _time(tell: Json) -> Any:
    at = get_time(tell["at"])
    if at is None:
        raise ValueError("a step has no time")
    return at
