"""Listeners to the events of a session, besides progress: messages, signals, garbage collection."""

import asyncio
import gc
import logging
import os
import sys

import click

from batchgen.cli.process import interrupt_on, stopping_signals
from batchgen.core.text import plural, printable, usd
from batchgen.journal import Journal
from batchgen.session.host import Adopted, Ended, Event, Notice, Planned, Started, StopHandle


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

    def _planned(self, event: Planned) -> None:
        if event.skipped_as_bought:
            left_out = plural(event.skipped_as_bought, "item")
            click.echo(f"{left_out} left out: another ledger shows them as bought", err=True)
        caps = (("max_cost", event.settings.max_cost), ("budget", event.settings.budget))
        limits = ", ".join(f"{name} ${usd(cap)}" for name, cap in caps if cap is not None)
        click.echo(
            f"{event.name}: to buy {plural(event.plan.to_buy, 'item')} for ${usd(event.plan.estimated)}"
            f"{f' ({limits})' if limits else ''}",
            err=True,
        )


def show_notice(text: str) -> None:
    """Print a note for the user on stderr."""
    click.echo(f"note: {printable(text, 2000)}", err=True)


def show_notices(journal: Journal) -> None:
    """Show what was unusual about a run folder when it was opened."""
    for notice in journal.notices:
        show_notice(notice)


class Signals:
    """While the event loop runs: the first signal stops the session, the second one the process."""

    def __init__(self, stop: StopHandle) -> None:
        self._stop = stop

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, Started):
            loop = asyncio.get_running_loop()
            for number in stopping_signals():
                loop.add_signal_handler(number, self._on_signal)
        elif isinstance(event, Ended):
            # A closed loop does not restore the handlers: SIGTERM would then end the process without a message
            # (asyncio), and Ctrl-C would go unheard (uvloop).
            interrupt_on(*stopping_signals())

    def _on_signal(self) -> None:
        if self._stop.stop_requested:
            try:
                logging.shutdown()
            finally:
                os._exit(130)  # at once; all that was recorded is on disk
        self._stop.stop()  # before anything is printed: the reader may be gone
        sys.stderr.write("\nstopping: waiting for answers to requests already sent; once more to stop at once\n")
        sys.stderr.flush()


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
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 50, 50)
        elif isinstance(event, Ended) and self._before is not None:
            gc.set_threshold(*self._before)
            gc.unfreeze()
            self._before = None
