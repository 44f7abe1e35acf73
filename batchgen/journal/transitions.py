"""The transitions between the states of a purchase.

Each names the states that it leads from, so that a wrong transition is an error and never a silent overwrite. They do
not commit: see `Journal.transaction`.
"""

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from batchgen import receipts
from batchgen.api import Job
from batchgen.core.records import COLLECTABLE, UNANSWERED, State, StoredFile
from batchgen.journal.attempts import UNNAMED, Attempt, PurchaseName, Work
from batchgen.journal.chains import SentInput, inputs_text
from batchgen.journal.delivered import DeliveredFiles, Findings, Verdict
from batchgen.journal.outputs import FEWER_OUTPUTS, Listing, Outputs
from batchgen.journal.schema import milliseconds
from batchgen.policy.absence import Absence
from batchgen.policy.echo import foreign

LARGEST_ANSWER = 64 * 1024
"""Bytes of an answer that are kept."""


NEW_PURCHASE = "printf('%011x', {at}) || substr(lower(hex(randomblob(5))), 1, 9)"
"""SQL for the name of a purchase: its time (milliseconds), then random, so that an index of them grows at its end."""


UNKNOWN_FORMAT = "unknown_format"
"""The `error_type` of a purchase with a file of unknown format, which was only checked by downloading it twice."""


class TransitionError(Exception):
    """A transition that the states do not allow: a bug. The journal is unchanged."""


class Transitions(Outputs, DeliveredFiles):
    """What can happen to a purchase."""

    db: sqlite3.Connection
    lines: list[receipts.Line]
    """What is to be written to the receipts before the commit."""

    def record_intent(
        self, work: Work, account: str, catalog_version: str, now: datetime, *,
        reserved: Decimal | None = None, price_key: str = "", inputs: Sequence[SentInput] = (),
        name: PurchaseName = UNNAMED, lent_to: str | None = None,
    ) -> Attempt:  # fmt: skip
        """Record the intent to buy: after the commit, and not before, the POST may leave.

        `reserved` is what it is expected to cost (USD; None: the catalogue price), and counts until the answer is
        known; for `price_key` see `batchgen.policy.budget.Prices`. `inputs` are the other items' outputs that are sent.
        `name` is the one that another journal has for it; `lent_to` is the start of a worker that sends it (None: this
        process does).
        """
        expected = work.item.estimated if reserved is None else reserved
        self._move(work.key, State.PENDING, State.SUBMITTING)
        (number,) = self.db.execute(
            # Numbers run on under an id, whatever was edited: (id, number) names one purchase in the ledger.
            "UPDATE item SET reason = NULLIF(reason, 'source_expired'),"
            " attempts = COALESCE(?, 1 + (SELECT MAX(o.attempts) FROM item o WHERE o.id = item.id))"
            " WHERE key = ? RETURNING attempts",
            (name.number, work.key),
        ).fetchone()
        estimated, at = work.item.estimated, milliseconds(now)
        key, purchase = self.db.execute(
            "INSERT INTO attempt (item, number, estimated, account, catalog_version, submitted_at, purchase, reserved,"
            f" price_key, inputs, key, lent_to) VALUES (?, ?, ?, ?, ?, ?, COALESCE(?, {NEW_PURCHASE.format(at='?6')}),"
            " ?, ?, ?, ?, ?) RETURNING key, purchase",
            (
                work.key,
                number,
                receipts.plain(estimated),
                account,
                catalog_version,
                at,
                name.purchase,
                receipts.plain(expected),
                price_key,
                inputs_text(inputs),
                name.key,
                lent_to,
            ),
        ).fetchone()
        item = work.item
        self.lines.append(
            receipts.intent(
                purchase, item=item.id, digest=item.digest, attempt=number, model=item.model, price=item.estimated,
                reserved=expected, account=account, tables=catalog_version, at=at,
            )
        )  # fmt: skip
        return Attempt(
            key, work, State.SUBMITTING, number, estimated, expected, None, None, account, None, None, 0, purchase,
            price_key,
        )  # fmt: skip

    def cancel_intent(self, attempt: Attempt) -> None:
        """The request was certainly not charged: back to pending. The number stays used."""
        self._drop(attempt, State.SUBMITTING)
        self.lines.append(receipts.void(attempt.purchase))

    def accept(self, attempt: Attempt, job: Job, raw: bytes, now: datetime) -> Attempt:
        """The API accepted and charged it: id, cost and expiry, with the answer's bytes.

        If the answer names no price, the charge is the expected one until a poll names it.
        """
        price = job.told(None)
        charged = attempt.reserved if price is None else price
        self._step(
            attempt,
            UNANSWERED,
            State.PROCESSING,
            job_id=job.id,
            charged=receipts.plain(charged),
            named_price=None if price is None else receipts.plain(price),
            confirmed=price is not None,
            accepted_at=milliseconds(now),
            expires_at=milliseconds(job.expires_at) if job.expires_at else None,
            error_type=None,
            error_message=None,
            **({"answer": raw[:LARGEST_ANSWER]} if raw else {}),
        )
        self.lines.append(receipt_of(attempt, job, now))
        return replace(
            attempt, state=State.PROCESSING, charged=charged, named_price=price, job_id=job.id, accepted_at=now,
            expires_at=job.expires_at, polls=0,
        )  # fmt: skip

    def accept_or_doubt(self, attempt: Attempt, job: Job, raw: bytes, now: datetime) -> Attempt | str:
        """A POST was answered with a job: accept it, or put it in doubt and return the evidence that it is another's.

        Decided here, where it is recorded, since two answers that name one job may arrive at the same time.
        """
        reason = self._evidence(attempt, job)
        if reason is None:
            return self.accept(attempt, job, raw, now)
        # The id of the job goes into the reason, not into the column of the jobs that were bought here.
        self.doubt(attempt, reason, raw)
        return reason

    def _evidence(self, attempt: Attempt, job: Job) -> str | None:
        holder = self.db.execute(
            "SELECT i.id FROM attempt a JOIN item i ON i.key = a.item WHERE a.job_id = ? AND a.key <> ? LIMIT 1",
            (job.id, attempt.key),
        ).fetchone()
        named = f"the answer names job {job.id}"
        if holder is not None:
            return f"{named}, which is {holder[0]}'s"
        why = foreign(attempt.work.item.body, job.model, job.input)
        return None if why is None else f"{named}, which is not the job that was ordered: {why}"

    def confirm_price(self, attempt: Attempt, price: Decimal | None) -> Attempt:
        """A poll has named the price of a job, or (None) has not contradicted the expected one."""
        charge = attempt.charge if price is None else attempt.charge.corrected(price, first=attempt.named_price is None)
        self._step(
            attempt,
            (State.PROCESSING,),
            State.PROCESSING,
            charged=receipts.plain(charge.charged),
            surplus=receipts.plain(charge.surplus),
            named_price=None if price is None else receipts.plain(price),
            confirmed=True,
        )
        return replace(attempt, charged=charge.charged, surplus=charge.surplus, named_price=price)

    def reject(self, attempt: Attempt, error_type: str, message: str, now: datetime) -> None:
        """The API rejected the request for good; it was not charged."""
        self._step(
            attempt,
            (State.SUBMITTING,),
            State.REJECTED,
            completed_at=milliseconds(now),
            error_type=error_type,
            error_message=message,
        )
        self.lines.append(receipts.ended(attempt.purchase, State.REJECTED, milliseconds(now)))

    def doubt(self, attempt: Attempt, reason: str, raw: bytes = b"") -> None:
        """The request may have been charged; it is never sent again by itself."""
        self._step(
            attempt,
            (State.SUBMITTING,),
            State.IN_DOUBT,
            error_type="in_doubt",
            error_message=reason,
            answer=raw[:LARGEST_ANSWER],
        )

    def settle_as_not_charged(self, attempt: Attempt, now: datetime) -> None:
        """The user looked it up: an attempt in doubt was not charged. Back to pending."""
        self._drop(attempt, State.IN_DOUBT)
        self.lines.append(receipts.settled(attempt.purchase, "not_charged", milliseconds(now)))

    def settle_as_charged(self, attempt: Attempt, now: datetime) -> None:
        """The user looked it up: an attempt in doubt was charged what was reserved, and its job cannot be found."""
        self._step(
            attempt,
            (State.IN_DOUBT,),
            State.LOST,
            charged=receipts.plain(attempt.reserved),
            completed_at=milliseconds(now),
            error_type="lost",
            error_message="settled by hand as charged, without a known job id",
        )
        self.lines.append(receipts.settled(attempt.purchase, "charged", milliseconds(now), charged=attempt.reserved))

    def doubt_interrupted(self) -> int:
        """After a crash: every intent without an answer may have been charged. Return how many there are."""
        self.db.execute(
            "UPDATE attempt SET state = 'in_doubt', error_type = 'in_doubt', error_message ="
            " 'the program ended while the request was on its way' WHERE state = 'submitting' AND item IN"
            " (SELECT key FROM item WHERE state = 'submitting')"
        )
        return self.db.execute("UPDATE item SET state = 'in_doubt' WHERE state = 'submitting'").rowcount

    def complete(
        self, attempt: Attempt, job: Job, polls: int, took_ms: int, now: datetime, *, ordered: int = 1
    ) -> Listing:
        """The provider has finished the job; return the outputs that it lists so far."""
        self._step(attempt, (State.PROCESSING,), State.READY, polls=polls, **_ending(job, took_ms, now))
        self._put_outputs(attempt, job, ordered)
        listing = self.listing(attempt)
        self._write_end(attempt, State.READY, now, outputs=listing.count)
        return listing

    def list_more_outputs(self, attempt: Attempt, job: Job, polls: int, *, ordered: int) -> Listing:
        """The provider lists more outputs than before; return as left only the new ones."""
        self._step(attempt, (State.READY,), State.READY, polls=polls)
        known = self._put_outputs(attempt, job, ordered)
        listing = self.listing(attempt)
        return replace(listing, left=[output for output in listing.left if output.number not in known])

    def accept_fewer_outputs(self, attempt: Attempt, reason: str) -> bool:
        """No more outputs will come, although more were ordered; return whether that makes the item done."""
        self._step(attempt, (State.READY,), State.READY, error_type=FEWER_OUTPUTS, error_message=reason)
        return self._finish(attempt)

    def fail(self, attempt: Attempt, job: Job, polls: int, took_ms: int, now: datetime) -> None:
        """Failed at the provider, which refunds what it charged (docs/api.md).

        The refund is the charge as it was known before: the cost that the failed job shows may be what is left of it.
        """
        refunded = attempt.charge.charged
        self._step(
            attempt, (State.PROCESSING,), State.FAILED, polls=polls, refunded=receipts.plain(refunded),
            refunded_at=milliseconds(now), error_type="generation_failed",
            error_message=job.error or "the provider gave no reason", **_ending(job, took_ms, now),
        )  # fmt: skip
        self._write_end(attempt, State.FAILED, now, refunded=refunded)

    def lose(self, attempt: Attempt, reason: str, now: datetime, *, polls: int | None = None) -> None:
        """It was charged, and its job or its output is gone."""
        self._step(
            attempt,
            COLLECTABLE,
            State.LOST,
            completed_at=milliseconds(now),
            error_type="lost",
            error_message=reason,
            **({} if polls is None else {"polls": polls}),
        )
        self._write_end(attempt, State.LOST, now)

    def record_absence(self, attempt: Attempt, absence: Absence) -> None:
        """The provider says that it does not know the job (or, with an empty `absence`, that it does)."""
        missed_ms = round(absence.seconds * 1000)
        self._step(attempt, (State.PROCESSING,), State.PROCESSING, misses=absence.answers, missed_ms=missed_ms)

    def restore_lost(self, attempt: Attempt) -> None:
        """The provider knows a lost job after all. Only for an item that was not requeued."""
        latest = "SELECT 1 FROM item WHERE key = ? AND attempts = ?"
        if attempt.job_id is None or not self.db.execute(latest, (attempt.work.key, attempt.number)).fetchone():
            raise TransitionError(f"attempt {attempt.key} cannot be restored")
        self._step(
            attempt, (State.LOST,), State.PROCESSING, completed_at=None, error_type=None, error_message=None,
            misses=0, missed_ms=0,
        )  # fmt: skip
        self.lines.append(receipts.reopened(attempt.purchase))

    def record_file(self, attempt: Attempt, file: StoredFile, findings: Findings | None = None) -> bool:
        """A file is on disk; return whether it was the last one, which makes the item done.

        `findings` are what is known of it; None if it was not looked at. Lost items may get files too, if only some of
        their outputs are gone.
        """
        kept = self.db.execute(
            "UPDATE output SET path = ?, bytes = ?, sha256 = ? WHERE attempt = ? AND number = ? AND path IS NULL",
            (file.path, file.bytes, file.sha256, attempt.key, file.output),
        )
        if kept.rowcount != 1:
            raise TransitionError(f"attempt {attempt.key} does not wait for output {file.output}")
        if findings is not None:
            self.put_findings(attempt.key, file, findings)
        self.lines.append(receipts.stored(attempt.purchase, file))
        if not file.familiar:
            self.db.execute(
                "UPDATE attempt SET error_type = COALESCE(error_type, ?), error_message = COALESCE(error_message, ?)"
                " WHERE key = ?",
                (UNKNOWN_FORMAT, f"{file.path} has an unknown format", attempt.key),
            )
        return self._finish(attempt)

    def record_delivery(self, attempt: Attempt, file: StoredFile, findings: Findings) -> Verdict | None:
        """As `record_file`; return how the purchase stands, if it is done with that."""
        return self.verdict_of(attempt.key) if self.record_file(attempt, file, findings) else None

    # ---- inside ----

    def _finish(self, attempt: Attempt) -> bool:
        listing = self.listing(attempt)
        if listing.left or listing.awaited:
            return False
        self._step(attempt, (State.READY,), State.DONE)
        return True

    def _write_end(
        self,
        attempt: Attempt,
        state: State,
        now: datetime,
        *,
        refunded: Decimal | None = None,
        outputs: int | None = None,
    ) -> None:
        self.lines.append(
            receipts.ended(
                attempt.purchase, state, milliseconds(now), charged=attempt.charged, refunded=refunded, outputs=outputs
            )
        )

    def _move(self, item: int, before: State, after: State) -> None:
        moved = self.db.execute("UPDATE item SET state = ? WHERE key = ? AND state = ?", (after, item, before))
        if moved.rowcount != 1:
            raise TransitionError(f"item {item} is not {before} and cannot become {after}")

    def _drop(self, attempt: Attempt, before: State) -> None:
        dropped = self.db.execute("DELETE FROM attempt WHERE key = ? AND state = ?", (attempt.key, before))
        if dropped.rowcount != 1:
            raise TransitionError(f"attempt {attempt.key} is not {before} and cannot be dropped")
        self._move(attempt.work.key, before, State.PENDING)

    def _step(self, attempt: Attempt, before: Collection[State], after: State, **columns: object) -> None:
        settled = self.db.execute(
            f"UPDATE attempt SET state = ?{''.join(f', {name} = ?' for name in columns)}"
            f" WHERE key = ? AND state IN ({', '.join('?' * len(before))}) RETURNING item",
            (after, *columns.values(), attempt.key, *before),
        ).fetchone()
        if settled is None:
            raise TransitionError(f"attempt {attempt.key} cannot become {after}")
        moved = self.db.execute(
            f"UPDATE item SET state = ? WHERE key = ? AND state IN ({', '.join('?' * len(before))})",
            (after, settled[0], *before),
        )
        if moved.rowcount != 1:
            raise TransitionError(f"item {settled[0]} cannot become {after}")


def receipt_of(attempt: Attempt, job: Job, now: datetime) -> receipts.Line:
    """Return the line of receipts that says that an attempt was accepted as this job."""
    price = job.told(None)
    return receipts.accepted(
        attempt.purchase, item=attempt.work.item.id, attempt=attempt.number, job=job.id,
        charged=attempt.reserved if price is None else price,
        expires=milliseconds(job.expires_at) if job.expires_at else None, at=milliseconds(now),
    )  # fmt: skip


def _ending(job: Job, took_ms: int, now: datetime) -> dict[str, object]:
    columns: dict[str, object] = {
        "completed_at": milliseconds(job.completed_at or now),
        "took_ms": took_ms,
        "inference_ms": job.inference_ms,
        "scale": job.scale,
    }
    if job.expires_at:
        columns["expires_at"] = milliseconds(job.expires_at)
    return columns
