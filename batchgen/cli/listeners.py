"""Listeners to the events of a session, besides progress: messages, signals, garbage collection."""

import asyncio
import gc
import logging
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from batchgen.cli.output import say
from batchgen.cli.process import interrupt_on, stopping_signals
from batchgen.core.text import dollars, plural, printable, usd
from batchgen.journal import Journal
from batchgen.policy.wall_time import shown
from batchgen.session.host import Adopted, Ended, Event, Notice, Planned, Snapshot, Started, StopHandle, Waiting


class Messages:
    """Prints events as messages."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, Notice):
            show_notice(event.text)
        elif isinstance(event, Adopted):
            click.echo(f"{plural(event.items, 'item')} adopted under another id; this buys nothing", err=True)
        elif isinstance(event, Planned) and not self._quiet:
            self._planned(event)
        elif isinstance(event, Waiting):
            click.echo(f"waiting until {shown(event.start)}; nothing is bought before; Ctrl-C ends the wait", err=True)

    def _planned(self, event: Planned) -> None:
        if event.skipped_as_bought:
            left_out = plural(event.skipped_as_bought, "item")
            click.echo(f"{left_out} left out: another ledger shows them as bought", err=True)
        caps = (("max_cost", event.settings.max_cost), ("budget", event.settings.budget))
        limits = ", ".join(f"{name} ${usd(cap)}" for name, cap in caps if cap is not None)
        click.echo(
            f"{event.name}: to buy {plural(event.plan.to_buy, 'item')} for {dollars(event.plan.estimated)}"
            f"{f' ({limits})' if limits else ''}",
            err=True,
        )


def show_folder(folder: Path) -> None:
    """Say on stderr, before anything else, which run folder a command is about."""
    click.echo(f"run folder {folder}", err=True)


def show_notice(text: str) -> None:
    """Print a note for the user on stderr."""
    say(f"note: {printable(text, 2000)}", err=True)


def show_notices(journal: Journal) -> None:
    """Show what was unusual about a run folder when it was opened."""
    for notice in journal.notices:
        show_notice(notice)


class Signals:
    """While the session waits for its start or runs: the first signal stops the session, the second the process."""

    def __init__(self, stop: StopHandle) -> None:
        self._stop = stop
        self._started = Started()

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, Waiting):
            for number in stopping_signals():
                signal.signal(number, lambda *_: self._on_signal("nothing was sent yet"))
        elif isinstance(event, Started):
            self._started = event
            loop = asyncio.get_running_loop()
            for number in stopping_signals():
                loop.add_signal_handler(number, self._on_signal, "waiting for answers to requests already sent")
        elif isinstance(event, Ended):
            self._started = Started()
            # A closed loop does not restore the handlers: SIGTERM would then end the process without a message
            # (asyncio), and Ctrl-C would go unheard (uvloop).
            interrupt_on(*stopping_signals())

    def _on_signal(self, state: str) -> None:
        if self._stop.stop_requested:
            self._stop_at_once()
        self._stop.stop()  # before anything is printed: the reader may be gone
        sys.stderr.write(f"\nstopping: {state}; once more to stop at once\n")
        sys.stderr.flush()

    def _stop_at_once(self) -> NoReturn:
        try:
            logging.shutdown()
            if self._started.look is not None:
                sys.stderr.write(left_behind(self._started.look(), self._started.folder))
                sys.stderr.flush()
        finally:
            os._exit(130)  # at once; all that was recorded is on disk


def left_behind(snapshot: Snapshot, folder: Path | None) -> str:
    """Return what a process leaves behind that stops at once, how that is settled, and what the next run does."""
    run = "RUN" if folder is None else shlex.quote(str(folder))
    lines = ["stopped at once; all that was recorded is on disk"]
    if unanswered := snapshot.submitting:
        have, are = ("has", "is") if unanswered == 1 else ("have", "are")
        lines.append(
            f"{plural(unanswered, 'request')} {have} no answer yet, may be charged, and {are} in doubt: look in the"
            f" provider's billing, then `batchgen resolve {run}`; the next run does not send them again"
        )
    if jobs := snapshot.in_flight - unanswered:
        lines.append(f"{plural(jobs, 'job')} at the provider, paid for: the next run collects them")
    lines.append("next: run the same command to continue; nothing is bought twice")
    return "\n".join(lines) + "\n"


class RareCollections:
    """While the event loop runs: collect garbage cycles more rarely than Python does by default.

    Jobs in flight are not garbage, and little else is created. Measured (`benchmarks/items.py`): this saves a seventh
    of the CPU of a run.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int, int] | None = None

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, Started):
            self._before = gc.get_threshold()
            gc.freeze()  # with the little garbage that there is: to collect it takes as long as many items
            gc.set_threshold(50_000, 50, 50)
        elif isinstance(event, Ended) and self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None
