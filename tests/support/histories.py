"""Random histories of the books of a run folder, and what must hold after each of their steps.

A step is what a run does with its journal, an edit of the manifest, a kill, or what befalls files between two starts:
older copies come back, logs and ends of files are lost, bits flip, a copy lives on and meets the original again. Beside
the books stands a plain account of what was sent and answered. Neither scheduler nor provider takes part, so that a
step takes a millisecond, and orders of events are looked at by the thousand that nobody would think of.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from support.accidents import ACCIDENTS, JOURNAL, MIXED, Files, older_version, put_books, read_books
from support.account import Intent, Known, faults_in, request_of
from support.bought import START, item, list_items, staged

from batchgen.api import Job, JobStatus
from batchgen.core.digest import output_of
from batchgen.core.errors import RunFolderError
from batchgen.core.records import Input, Item, State, StoredFile
from batchgen.journal import Attempt, BuyAgain, Journal
from batchgen.journal.queries.chain_rows import chain_row
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.session.repair.recovery import recover

EDITS = 2
"""How many items need the output of another one."""
EXPIRES = datetime(2026, 3, 7, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Copy:
    """The books as they were, and what they knew."""

    files: Files
    known: Known


class History:
    """A run folder that lives through random steps; `play` takes them."""

    def __init__(self, run: Path, seed: int) -> None:
        self.run = run
        self.draws = random.Random(seed)
        self.told: list[str] = [f"seed {seed}"]
        """The steps so far, in words."""
        self.now = START
        self.known = Known()
        self.answered: set[Intent] = set()
        """Intents whose outcome some copy of the books was told: nothing needs to doubt them any more."""
        self.made = 0
        """Numbers given out, to jobs and to superseded files."""
        self.adopted = 0
        """Purchases that were given to another id."""
        self.manifest = {f"mug{number}": (f"mug{number}", 0) for number in range(5)}
        """Id and version of each request."""
        self.copies: list[Copy] = []
        self.elsewhere: Copy | None = None
        """The books that went on while an older copy of them is in use."""
        (run / "files").mkdir(parents=True)
        (run / "superseded").mkdir()
        self.start()
        with self.journal.transaction():
            self.journal.note(run="spring", api="https://api18.dev", account="f00d")
        list_items(self.journal, self._items())

    def play(self, steps: int) -> None:
        """Take so many random steps. What goes wrong is raised, with the seed and all steps up to it as a note."""
        for step in self.draws.choices(list(STEPS), list(STEPS.values()), k=steps):
            try:
                self.told.append(step.__name__)
                if said := step(self):
                    self.told[-1] += f": {said}"
                else:
                    self.told.pop()  # there was nothing to take it with
                wrong = faults_in(self.journal.db, self.known, self.answered)
                assert not wrong, "; ".join(wrong)
            except Exception as error:
                error.add_note("\n  ".join(self.told))
                raise

    # ---- opening ----

    def start(self) -> None:
        """Do what a start does first: read the receipts, and doubt what was on its way."""
        self.journal = Journal(self.run, create=True)
        self.running = True
        with self.journal.transaction():
            self.journal.doubt_interrupted()

    def stop(self) -> None:
        """End the process in order, if it runs."""
        if self.running:
            self.running = False
            self.journal.close()

    def _kill(self) -> None:
        """End the process at once: the log of the journal stays, which `stop` takes into the file."""
        left = read_books(self.run)
        self.stop()
        put_books(self.run, left)

    # ---- what a run does ----

    def _tick(self) -> datetime:
        self.now += timedelta(milliseconds=self.draws.choice((1, 1000)))
        return self.now

    def _some(self, state: State) -> Attempt | None:
        """Return a random attempt in this state, if there is one."""
        found = list(self.journal.unsettled(state))
        return self.draws.choice(found) if found else None

    def _next(self) -> int:
        self.made += 1
        return self.made

    def _intent(self, attempt: Attempt) -> Intent:
        """Return what an attempt was, before a step may take it out of the journal."""
        row = self.journal.db.execute("SELECT submitted_at FROM attempt WHERE key = ?", (attempt.key,)).fetchone()
        return request_of(attempt.work.item.digest), row[0]

    def _accept(self, attempt: Attempt, cost: Decimal | None) -> str:
        job = Job(f"job{self._next()}", JobStatus.PROCESSING, cost=cost, expires_at=EXPIRES)
        with self.journal.transaction():
            self.journal.accept(attempt, job, b"{}", self._tick())
        self.known.jobs[job.id] = request_of(attempt.work.item.digest)
        return job.id

    def buy(self) -> str:
        pending = self.journal.pending(0, 99)
        if not pending:
            return ""
        work = self.draws.choice(pending)[1]
        for needed in work.item.inputs:
            source = chain_row(self.journal.db, needed.item_id)
            assert source is not None, f"{work.item.id} is bought, and {needed.item_id} is not there"
            assert source.state is State.DONE, f"{work.item.id} is bought, and {source.id} is {source.state}"
        with self.journal.transaction():
            attempt = self.journal.record_intent(work, "f00d", "1", self._tick())
        intent = self._intent(attempt)
        self.known.intents.add(intent)
        outcomes = ("accepted", "doubted", "released", "rejected", "unanswered", "killed")
        (outcome,) = self.draws.choices(outcomes, (5, 1, 2, 1, 1, 1))
        told = f"{work.item.id} #{attempt.number} {outcome}"
        if outcome == "killed":
            self._kill()
            self.start()
        elif outcome == "accepted":
            told += f" as {self._accept(attempt, Decimal('0.056'))}"
        elif outcome != "unanswered":
            with self.journal.transaction():
                if outcome == "doubted":
                    self.journal.doubt(attempt, "reset")
                elif outcome == "released":
                    self.journal.cancel_intent(attempt)
                else:
                    self.journal.reject(attempt, "invalid_request", "no", self._tick())
        if outcome in ("accepted", "released", "rejected"):
            self.answered.add(intent)
        return told

    def end(self) -> str:
        attempt = self._some(State.PROCESSING)
        if attempt is None:
            return ""
        job, at = str(attempt.job_id), self._tick()
        how = self.draws.choice(("ready", "ready", "failed", "lost"))
        with self.journal.transaction():
            if how == "ready":
                outputs = (f"https://api18.dev/{job}/1", f"https://api18.dev/{job}/2")
                self.journal.complete(attempt, Job(job, JobStatus.COMPLETED, outputs=outputs), 1, 1, at)
            elif how == "failed":
                self.journal.fail(attempt, Job(job, JobStatus.FAILED, error="no"), 1, 1, at)
            else:
                self.journal.lose(attempt, "gone", at)
            self.journal.advance_chain(attempt.work.key)
        return f"{job} {how}"

    def keep(self) -> str:
        attempt = self._some(State.READY)
        left = self.journal.listing(attempt).left if attempt else []
        if attempt is None or not left:
            return ""
        number = left[0].number
        path = f"files/{attempt.work.item.path}@{number}.png"
        if (self.run / path).exists() and self.journal.owner_of(path):
            aside = f"superseded/{self._next()}.png"
            with self.journal.transaction():
                self.journal.move_file(path, aside)
            (self.run / path).rename(self.run / aside)
        content = f"{attempt.job_id} {number}".encode()
        (self.run / path).write_bytes(content)
        with self.journal.transaction():
            file = StoredFile(number, path, len(content), hashlib.sha256(content).hexdigest())
            self.journal.record_file(attempt, file)
            self.journal.advance_chain(attempt.work.key)
        return f"{path} of {attempt.job_id}"

    def settle(self) -> str:
        attempt = self._some(State.IN_DOUBT)
        if attempt is None:
            return ""
        intent = self._intent(attempt)
        how = self.draws.choice(("not charged", "charged", "found"))
        told = f"{attempt.work.item.id} #{attempt.number} {how}"
        if how == "found":
            told += f" as {self._accept(attempt, None)}"
        else:
            with self.journal.transaction():
                journal = self.journal
                settle = journal.settle_as_not_charged if how == "not charged" else journal.settle_as_charged
                settle(attempt, self._tick())
        self.answered.add(intent)
        return told

    def reclaim(self) -> str:
        lost = list(self.journal.lost_jobs())
        if not lost:
            return ""
        attempt = self.draws.choice(lost)
        with self.journal.transaction():
            self.journal.restore_lost(attempt)
        return str(attempt.job_id)

    def retry(self) -> str:
        states = self.draws.choice(([State.FAILED], [State.LOST], [State.REJECTED], []))
        again = BuyAgain(("*",) if self.draws.random() < 0.3 else ())
        with self.journal.transaction():
            self.journal.requeue_for(states, again)
        return f"{', '.join(states)} {again.globs}"

    # ---- what its owner does ----

    def _items(self) -> list[Item]:
        mugs = {name: item(id_, f"{name} {version}") for name, (id_, version) in self.manifest.items()}
        return [*mugs.values(), *(edit_of(f"edit{n}", mugs[f"mug{n}"]) for n in range(EDITS))]

    def edit(self) -> str:
        name = self.draws.choice(list(self.manifest))
        self.manifest[name] = (self.manifest[name][0], self.draws.randrange(3))
        list_items(self.journal, self._items())
        return f"{name} is version {self.manifest[name][1]}"

    def rename(self) -> str:
        name = self.draws.choice(list(self.manifest))
        self.manifest[name] = (self.draws.choice((name, f"{name}-new", f"{name}-old")), self.manifest[name][1])
        with staged(self.journal, self._items()) as table:
            adopted = self.journal.apply_renames(table)
            self.adopted += adopted
            self.journal.list_items(table)
        return f"{name} is {self.manifest[name][0]}, {adopted} adopted"

    def kill(self) -> str:
        self._kill()
        self.start()
        return "and started again"

    def copy(self) -> str:
        self.copies.append(Copy(read_books(self.run), self.known.copy()))
        return str(len(self.copies) - 1)

    # ---- what befalls the files ----

    def befall(self) -> str:
        """Between two starts something happens to one of the books; the next start must make the best of it."""
        if not self.copies:
            return ""
        # A journal of version 1 has each purchase at the item that it was bought for: that version moved none.
        accident = self.draws.choice(ACCIDENTS if self._moved() else (*ACCIDENTS, older_version, older_version))
        with self._stopped() as killed:
            which = self.draws.randrange(len(self.copies))
            self.told[-1] += f" {accident.__name__} (copy {which}, {killed})"
            accident(self.run, self.copies[which].files, self.draws)
            if accident in MIXED:
                self._recover_from_damage()
            if accident is older_version:  # what was copied before has other names for the same purchases
                self.copies, self.elsewhere = [], None
        return " ".join(self.journal.notices) or "no notice"

    def fork_or_join(self) -> str:
        """An older copy of both books lives on, as if nothing had been since; later it meets the newest ones.

        Then one of the two books is replaced by what it was elsewhere: together they must know it all.
        """
        if self.elsewhere is None and not self.copies:
            return ""
        with self._stopped() as killed:
            if self.elsewhere is None:
                older = self.draws.choice(self.copies)
                self.elsewhere = Copy(read_books(self.run), self.known.copy())
                put_books(self.run, older.files)
                self.known, self.copies = older.known.copy(), [older]
                told = f"fork, {killed}"
            else:
                names = self.draws.choice((JOURNAL, (RECEIPTS,)))
                put_books(self.run, self.elsewhere.files, names)
                self.known.join(self.elsewhere.known)
                self.elsewhere, self.copies = None, []
                told = f"join by {names[0]}, {killed}"
            self.told[-1] += f" {told}"
        return " ".join(self.journal.notices) or "no notice"

    @contextmanager
    def _stopped(self) -> Iterator[str]:
        """The process has ended meanwhile, in one way or the other; it is started again with the same manifest."""
        if killed := self.draws.random() < 0.5:
            self._kill()
        else:
            self.stop()
        yield "killed" if killed else "ended"
        self.start()
        list_items(self.journal, self._items())

    def _moved(self) -> bool:
        """Whether a purchase was renamed, or had to make room for another one of its item."""
        parted = "SELECT 1 FROM item WHERE digest LIKE '%~%' LIMIT 1"
        return self.adopted > 0 or self.journal.db.execute(parted).fetchone() is not None

    def _recover_from_damage(self) -> None:
        try:
            self.start()
            self.stop()
        except RunFolderError as error:
            if "damaged" not in str(error):
                raise
            recover(self.run)


def edit_of(id_: str, source: Item) -> Item:
    """Return an item that needs the first output of another one."""
    needed = item(id_, "In blue", images=[output_of(source.digest, 1)])
    return replace(needed, inputs=(Input("images/0", source.id, 1),))


STEPS: dict[Callable[[History], str], int] = {
    History.buy: 10, History.end: 6, History.keep: 8, History.settle: 3, History.reclaim: 2, History.retry: 2,
    History.edit: 2, History.rename: 2, History.kill: 2, History.copy: 3, History.befall: 4, History.fork_or_join: 1,
}  # fmt: skip
"""With how often each of them is taken. They return what they did in words, or nothing where they could do nothing."""


@contextmanager
def history_of(run: Path, seed: int) -> Iterator[History]:
    """A history in the folder `run`, which is made; its journal is closed at the end."""
    history = History(run, seed)
    try:
        yield history
    finally:
        history.stop()
