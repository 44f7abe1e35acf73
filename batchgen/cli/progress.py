"""Progress on stderr: a bar if the terminal can draw it, otherwise a plain line every 30 s."""

import time
from collections.abc import Callable
from typing import IO, Any, Protocol

from batchgen.core.text import usd
from batchgen.session.host import Ended, Event, Snapshot, Started

LINE_EVERY = 30.0
BAR_EVERY = 0.2


class Reporter(Protocol):
    """Shows snapshots to a person."""

    every: float
    """Seconds between two updates."""

    def show(self, snapshot: Snapshot) -> None:
        """Show a snapshot."""
        ...

    def close(self) -> None:
        """Clean up the screen."""
        ...


class Silence:
    """Shows nothing."""

    every = LINE_EVERY

    def show(self, snapshot: Snapshot) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing to tidy."""


class Lines:
    """A plain line from time to time, for logs."""

    every = LINE_EVERY

    def __init__(self, out: IO[str], elapsed: Callable[[], float]) -> None:
        self._out = out
        self._elapsed = elapsed
        self._first: int | None = None
        self._last: tuple[Snapshot, float] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Write one line, unless it would repeat the last one."""
        ended = snapshot.done + snapshot.failed + snapshot.in_doubt
        if self._first is None:
            self._first = ended
        seconds = self._elapsed()
        if self._last is not None and self._last[0] == snapshot and seconds - self._last[1] < self.every / 2:
            return
        self._last = snapshot, seconds
        eta = ""
        if self._first < ended < snapshot.items:
            rest = (snapshot.items - ended) * seconds / (ended - self._first)
            eta = f", about {_span(rest)} to go"
        print(
            f"{_span(seconds)}: {snapshot.done:,} of {snapshot.items:,} done, {_numbers(snapshot)}{eta}", file=self._out
        )

    def close(self) -> None:
        """Nothing to tidy."""


class Bar:
    """A tqdm bar."""

    every = BAR_EVERY

    def __init__(self, out: IO[str]) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            file=out,
            unit="item",
            dynamic_ncols=True,
            smoothing=0.05,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}",
        )

    def show(self, snapshot: Snapshot) -> None:
        """Redraw the bar."""
        ended = snapshot.done + snapshot.failed + snapshot.in_doubt
        if self._bar.total is None:
            self._bar.total = snapshot.items
            self._bar.initial = self._bar.n = ended
        self._bar.total = max(snapshot.items, 1)
        self._bar.update(ended - self._bar.n)
        self._bar.set_postfix_str(_numbers(snapshot))

    def close(self) -> None:
        """Leave the last state of the bar on the screen."""
        self._bar.close()


class Progress:
    """Listens to the events of a session and shows its snapshots as often as the reporter wants."""

    def __init__(self, out: IO[str], *, quiet: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._quiet = quiet
        self._now = now
        self._reporter: Reporter | None = None
        self._due = 0.0
        self._latest: Snapshot | None = None

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, Started):
            start = self._now()
            self._reporter = reporter_for(self._out, quiet=self._quiet, elapsed=lambda: self._now() - start)
            self._due = start
        elif isinstance(event, Snapshot):
            self._latest = event
            if self._reporter is not None and self._now() >= self._due:
                self._due = self._now() + self._reporter.every
                self._reporter.show(event)
        elif isinstance(event, Ended) and self._reporter is not None:
            if self._latest is not None:
                self._reporter.show(self._latest)
            self._reporter.close()
            self._reporter = None


def reporter_for(out: IO[str], *, quiet: bool, elapsed: Callable[[], float]) -> Reporter:
    """Return the reporter that suits `out`: a terminal, or a file or pipe."""
    if quiet:
        return Silence()
    return Bar(out) if out.isatty() else Lines(out, elapsed)


def _numbers(snapshot: Snapshot) -> str:
    parts = [f"{snapshot.in_flight:,} in flight"]
    if snapshot.failed:
        parts.append(f"{snapshot.failed:,} failed")
    if snapshot.in_doubt:
        parts.append(f"{snapshot.in_doubt:,} in doubt")
    parts.append(f"${usd(snapshot.spent)} spent")
    if snapshot.left is not None:
        parts.append(f"${usd(snapshot.left)} left")
    return ", ".join(parts)


def _span(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
