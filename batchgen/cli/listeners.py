"""What hears the events of a session, beside the progress: messages, signals, garbage collection."""

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
    """Tells events in words."""

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
    """Show on stderr something that the user should know."""
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
            # What a closed loop leaves in place is its own matter: SIGTERM would end the process without a word
            # (asyncio), and Ctrl-C would go unheard (uvloop).
            interrupt_on(*stopping_signals())

    def _on_signal(self) -> None:
        if self._stop.stop_requested:
            try:
                logging.shutdown()
            finally:
                os._exit(130)  # at once; all that was recorded is on disk
        self._stop.stop()  # before anything is told: who hears it may be gone
        sys.stderr.write("\nstopping: waiting for answers under way; once more to stop at once\n")
        sys.stderr.flush()


class RareCollections:
    """While the event loop runs: look for unreachable cycles more rarely than Python does.

    Jobs in flight are no garbage, and hardly any is made. Measured (`benchmarks/items.py`): a seventh of the CPU of a
    run otherwise.
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
