"""Chains: items that need outputs of other items are bought once these are there, with the addresses of now."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from batchgen.api import OutputError, OutputMissing, OutputRefused, Rejected, Unauthorized, Unavailable, Unknown
from batchgen.core.digest import filled
from batchgen.core.records import ENDED, State
from batchgen.core.text import printable
from batchgen.journal import SentInput, SourceOutput, Work
from batchgen.policy.absence import Absence
from batchgen.policy.retry import retry_delay
from batchgen.policy.stopping import Stop
from batchgen.scheduler.run_state import RunState, log

_TRIES = 10
"""Questions for the addresses of one item that got no answer. After that it is left to the next run."""
_LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Addressed:
    """An item with the addresses of all outputs that it needs."""

    work: Work
    """Its body is the one that is sent."""
    inputs: tuple[SentInput, ...]


@dataclass(frozen=True, slots=True)
class AskAgain:
    """An address could not be had now; it is asked for again after so many seconds."""

    wait: float


class LeftPending:
    """An address cannot be had in this invocation; the item stays pending."""


class Chains:
    """Frees and skips the items behind those that have ended, and finds the addresses that items are sent with."""

    def __init__(self, run_state: RunState, free: Callable[[Sequence[tuple[int, Work]]], None]) -> None:
        """`free` takes items, each with its position, that can be bought from now on."""
        self._run_state = run_state
        self._free = free
        self._failures: dict[int, int] = {}
        """By item, the questions for its addresses that got no answer."""
        self._absences: dict[int, Absence] = {}
        """By item, the answers in a row that said that a file it needs is not there."""
        run_state.watch(self._on_state)
        self.expired = 0
        """Items that stay pending, since the provider no longer has a file that they need."""
        self.unanswered = 0
        """Items that stay pending, since the address of a file that they need could not be had."""

    def _on_state(self, work: Work, state: State) -> None:
        """An item has changed to this state: what becomes of those that need it?"""
        if self._run_state.policy.chained and state in ENDED and state is not State.SKIPPED:
            self._run_state.spawn(self._advance(work))

    async def _advance(self, work: Work) -> None:
        run_state = self._run_state
        step = await run_state.record(run_state.ports.journal.advance_chain, work.key)
        for skipped in step.skipped:
            run_state.state_changed(skipped, State.PENDING, State.SKIPPED)
            log.info("%s is skipped: an item that it needs did not succeed", skipped.item.id)
        for restored in step.restored:
            run_state.state_changed(restored, State.SKIPPED, State.PENDING)
        self._free(step.free)

    async def address(self, work: Work) -> Addressed | AskAgain | LeftPending:
        """Return an item with the addresses that its request is sent with, as the provider names them now."""
        run_state = self._run_state
        sources = await run_state.record(run_state.ports.journal.input_outputs, work)
        if len(sources) < len(work.item.inputs):
            # What is sent must be whole: the next run works out again what this item needs.
            log.warning("%s stays pending: an output that it needs is not there", work.item.id)
            self.unanswered += 1
            return LeftPending()
        sent = []
        for source in sources:
            try:
                url = source.url or await self._listed_address(source)
                address = await run_state.ports.api.public_address(url)
            except OutputRefused:
                run_state.stop(Stop.KEY, "the API refuses the key for an output: check API18_KEY")
                return LeftPending()
            except OutputMissing as error:
                return await self._missing(work, source, error)
            except OutputError as error:
                return self._no_answer(work, source, error)
            sent.append(SentInput(source.input, source.job_id, address))
        self._failures.pop(work.key, None)
        self._absences.pop(work.key, None)
        body = filled(work.item.body, {i.input.parameter: i.address for i in sent})
        return Addressed(dataclasses.replace(work, item=dataclasses.replace(work.item, body=body)), tuple(sent))

    async def _listed_address(self, source: SourceOutput) -> str:
        """Ask the API for the address of an output that the journal does not have. Raises OutputError."""
        answer = await self._run_state.ports.api.poll(source.job_id)
        if isinstance(answer, Unauthorized):
            raise OutputRefused(answer.message)
        if isinstance(answer, Unavailable):
            raise OutputError(answer.reason, answer.retry_after)
        listed = () if isinstance(answer, Unknown) else answer.job.outputs
        url = listed[source.input.output - 1] if len(listed) >= source.input.output else None
        if url is None:
            raise OutputMissing("the provider no longer lists it")
        return url

    async def _missing(self, work: Work, source: SourceOutput, error: OutputError) -> AskAgain | LeftPending:
        """Only several answers over minutes say that a file is gone."""
        run_state, item = self._run_state, work.item
        absence = self._absences.pop(work.key, Absence()).again()
        if not absence.certain:
            wait = max(absence.next_wait(run_state.policy.settings.poll_max), error.retry_after or 0.0)
            self._absences[work.key] = absence.wait(wait)
            return AskAgain(wait)
        self.expired += 1
        log.warning(
            "%s stays pending: the provider no longer has output %d of %s (job %s); `--retry source` buys that again",
            item.id, source.input.output, source.input.item_id, source.job_id,
        )  # fmt: skip
        await run_state.record(run_state.ports.journal.note_source_expired, work, source.source)
        return LeftPending()

    def _no_answer(self, work: Work, source: SourceOutput, error: OutputError) -> AskAgain | LeftPending:
        run_state = self._run_state
        failures = self._failures[work.key] = self._failures.get(work.key, 0) + 1
        log.warning(
            "%s: the address of output %d of %s: %s",
            work.item.id, source.input.output, source.input.item_id, printable(str(error)),
        )  # fmt: skip
        if failures >= _TRIES:
            self.unanswered += 1
            return LeftPending()
        return AskAgain(retry_delay(failures, run_state.ports.random.random(), error.retry_after, cap=_LONGEST_WAIT))


def both_sides(inputs: Iterable[SentInput], answer: Rejected) -> str:
    """Return the message of a rejection; where it names a place that another item's output was sent for, with that."""
    named = [i for i in inputs if any(_same_place(path, i.input.parameter) for path in answer.paths)]
    if not named:
        return answer.message
    shown = ", ".join(f"output {i.input.output} of {i.input.item_id} (job {i.job_id})" for i in named)
    return f"{answer.message}: the provider does not take {shown}"


def _same_place(path: str, parameter: str) -> bool:
    """Return whether a path of an error (`image`, `images`, `images.0`, `images[0]`, `/images/0`) means a parameter."""
    parts = path.replace("[", "/").replace("]", "").replace(".", "/").strip("/").split("/")
    place = parameter.split("/")
    return parts == place[: len(parts)]
