"""What to do next about a run: a step for each state of things that asks for one."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from batchgen.core.records import LIVE, UNSUCCESSFUL, State
from batchgen.core.text import plural, stamp

_CONTINUE = "run the same command to continue; nothing is bought twice"
_AFTER_A_STOP = {
    "max_cost": "run the same command with a higher max_cost to continue; nothing is bought twice",
    "budget": "run the same command to continue: the budget counts anew for each invocation",
    "month": "raise the month's budget in batchgen.toml, or run the same command next month, to continue",
    "max_failures": "look at the failures above, then run the same command to continue",
    "max_flagged": "look at the flagged files (`batchgen check`), then run the same command to continue",
    "canary": (
        "look at the canary items: `--retry` with their state, or `--again` with the ids of flagged ones, buys them"
        " again; without `--canary`, this buys all others"
    ),
    "key": "fix the API key, then run the same command to continue; nothing is bought twice",
    "balance": "top up the balance, then run the same command to continue; nothing is bought twice",
    "outage": "once the API answers again, run the same command to continue; nothing is bought twice",
    "lease": (
        "another process may be this shard now: once it has ended, or the place for leases can be written again, run"
        " the same command to continue; nothing is bought twice"
    ),
    "in_doubt": "find out why answers are missing, then run the same command to continue; nothing is bought twice",
    "disk_full": "make room on the disk, then run the same command to continue; nothing is bought twice",
    "assets": (
        "once the pictures are as they were checked, and the place that `run.assets` names can be used, run the same"
        " command to continue; nothing is bought twice"
    ),
    "engine": (
        "once the engine and its workers can be used, or without --engine, run the same command to continue; nothing is"
        " bought twice"
    ),
    "object_store": "once the object store takes outputs again, run the same command to continue; nothing is bought"
    " twice",
}
"""By the word in the summary; `_CONTINUE` for the others."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do."""

    text: str
    """What, and why: the beginning of a sentence or a whole one, without its full stop."""
    command: str = ""
    """What does it; empty where no command does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """How a run stands during or after its last invocation."""

    folder: Path
    command: str
    """What continues it."""
    reach: str = ""
    """Options with which `collect` and `verify` reach its API, for a shell."""
    counts: Mapping[State, int] = field(default_factory=dict)
    stopped_because: str | None = None
    """The word in the summary; None: it finished."""
    killed: bool = False
    """Whether it was stopped from outside before it could say why."""
    running: bool = False
    """Whether it runs now: then it does by itself whatever can be done, but pick."""
    waiting: int = 0
    """Pending items that wait for a pick."""
    kept_until: datetime | None = None
    """When the provider drops the first of the files that these need; None: unknown, or not made yet."""
    source_expired: int = 0
    """Pending items that need files which the provider no longer has."""
    missing: int = 0
    """Files that are not on disk as they were bought."""
    fewer: int = 0
    """Items with fewer outputs than ordered."""
    unjudged: int = 0
    """Files that `check` has yet to judge."""
    failures: int = 0
    """Items that failed in the invocation, also those that are no longer in the manifest."""

    @property
    def run(self) -> str:
        """How commands name it, from any working directory."""
        return shlex.quote(str(self.folder))

    def reaching(self, command: str, *options: str) -> str:
        """Return a command about it that asks its API for something."""
        return " ".join(filter(None, ("batchgen", command, self.run, *options, self.reach)))


def next_steps(now: Situation) -> tuple[Step, ...]:
    """Return what to do, the most urgent first. Failures and what repairs them are told by `format_failures`."""
    if now.running:
        return tuple(_picking(now))
    return (*_doubts(now), *_continuing(now), *_picking(now), *_about_sources(now), *_about_files(now))


def _doubts(now: Situation) -> Iterator[Step]:
    if doubts := now.counts.get(State.IN_DOUBT, 0):
        yield Step(
            f"{plural(doubts, 'item')} in doubt may have been charged: look {_them(doubts)} up in the provider's"
            " billing, and write into this list what is true",
            f"batchgen resolve {now.run} --export doubts.csv",
        )


def _picking(now: Situation) -> Iterator[Step]:
    if now.waiting:
        wait, need = ("waits", "it needs") if now.waiting == 1 else ("wait", "they need")
        until = f" (the provider keeps what {need} until {stamp(now.kept_until)})" if now.kept_until else ""
        yield Step(
            f"{plural(now.waiting, 'item')} {wait} until an output is picked{until}; look at the outputs and keep some",
            f"batchgen view {now.run}",
        )


def _about_sources(now: Situation) -> Iterator[Step]:
    if now.source_expired:
        need = "needs" if now.source_expired == 1 else "need"
        yield Step(
            f"{plural(now.source_expired, 'item')} {need} files that the provider no longer has (source_expired);"
            " this buys their sources again: you pay twice",
            f"{now.command} --retry source --yes",
        )


def _continuing(now: Situation) -> Iterator[Step]:
    at_provider = sum(now.counts.get(state, 0) for state in LIVE)
    left = max(0, now.counts.get(State.PENDING, 0) - now.waiting - now.source_expired) + at_provider
    if not left:
        return
    if now.stopped_because == "drain":
        yield Step("some jobs are slow; collect them later, which buys nothing", now.reaching("collect"))
    elif now.stopped_because is not None or now.killed:
        more = " --max-cost USD" if now.stopped_because == "max_cost" else ""
        yield Step(_AFTER_A_STOP.get(now.stopped_because or "", _CONTINUE), now.command + more)
    else:
        are = "is" if left == 1 else "are"
        yield Step(
            f"{plural(left, 'item')} {are} not on disk yet; this buys and downloads what is missing", now.command
        )


def _about_files(now: Situation) -> Iterator[Step]:
    refetch = now.reaching("verify", "--refetch")
    if now.missing:
        are = "is" if now.missing == 1 else "are"
        yield Step(
            f"{plural(now.missing, 'file')} {are} missing or damaged; download {_them(now.missing)} again, which buys"
            " nothing",
            refetch,
        )
    if now.fewer:
        yield Step(
            f"{plural(now.fewer, 'item')} delivered fewer outputs than ordered (`fewer_outputs` in the ledger); ask the"
            " provider for the rest once more, which buys nothing",
            refetch,
        )
    if now.unjudged:
        are = "is" if now.unjudged == 1 else "are"
        yield Step(
            f"{plural(now.unjudged, 'file')} {are} not judged yet; judge {_them(now.unjudged)}, which buys nothing",
            f"batchgen check {now.run}",
        )
    if now.failures and not any(now.counts.get(state) for state in UNSUCCESSFUL):
        yield Step("Some items no longer in the manifest failed; see the ledger")


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def format_steps(steps: Iterable[Step]) -> list[str]:
    """Return the steps for people, each command on a line of its own; no lines if there are none."""
    lines = []
    for step in steps:
        lines.append(f"next: {step.text}{':' if step.command else ''}")
        if step.command:
            lines.append(f"  {step.command}")
    return lines


def steps_json(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Return the steps as `summary.json`, `run --json` and `status --json` have them."""
    return [{"text": step.text, "command": step.command or None} for step in steps]
