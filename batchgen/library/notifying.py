"""Tells others how a run goes, as `--ping`, `--notify` and `--on-exit` say: for the command and for Python alike.

A notification that fails changes nothing: the run goes on, ends with the same exit code, and is delayed by a bounded
time at most. What went wrong is in the run's log, and is told.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.client import DIRECT, Route, find_route
from batchgen.core.clock import utc_now
from batchgen.core.credentials import without_keys
from batchgen.core.errors import exit_code_of
from batchgen.core.run_log import LOG_NAME, logging_to
from batchgen.core.text import plural, printable, usd
from batchgen.notifications.addresses import Address, parse_address
from batchgen.notifications.command import TIME_LIMIT, run_command
from batchgen.notifications.message import Message, Patience
from batchgen.notifications.texts import Figures, alert_text, end_text, ping_body, variables, webhook_body
from batchgen.policy.alerts import CapNear, FirstDoubt, MonthNear, Paused
from batchgen.session.host import Alerted, Event, Host, Listener, Notice, Planned, Snapshot, ignore
from batchgen.session.prepare import PreparedRun
from batchgen.session.summary import Summary, figures_now, figures_of, summary_json

if TYPE_CHECKING:
    from batchgen.notifications.delivery import Channel

log = logging.getLogger("batchgen")

PATIENCE = Patience()
_EVENTS: dict[type[object], str] = {CapNear: "cap", MonthNear: "cap", FirstDoubt: "doubt", Paused: "paused"}
"""The alerts that a webhook hears of, and the word for each."""
_LINES_SHOWN = 20
"""Lines of a command's output that are shown, from the end."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Who is to be told."""

    ping: Address | None = None
    notify: Address | None = None
    on_exit: str | None = None
    route: Route = DIRECT

    @classmethod
    def of(cls, options: Mapping[str, Any], environment: Mapping[str, str]) -> "Targets":
        """Return what the options and the BATCHGEN_* variables say; an empty option wins over its variable.

        Raises UsageError.
        """

        def chosen(name: str) -> tuple[str, str]:
            given, variable = options.get(name), f"BATCHGEN_{name.upper()}"
            option = f"--{name.replace('_', '-')}"
            return (environment.get(variable, ""), variable) if given is None else (given, option)

        def address(name: str) -> Address | None:
            text, where = chosen(name)
            return parse_address(text, where) if text else None

        return cls(
            address("ping"), address("notify"), chosen("on_exit")[0] or None, find_route(options["proxy"], environment)
        )


@dataclass(frozen=True, slots=True)
class Note:
    """What is logged of a notification."""

    text: str
    is_problem: bool = False
    is_told: bool = False
    """Whether the listener hears it too, as it does of problems."""


class Notifier:
    """Tells the targets of one run. What it tells its listener is told in the thread that calls it."""

    def __init__(
        self, targets: Targets, manifest: Path, environment: Mapping[str, str], tell: Listener, patience: Patience
    ) -> None:
        self._targets, self._environment, self._tell, self._patience = targets, environment, tell, patience
        self._label, self._name, self._folder = manifest.name, "", Path()
        self._simulated = self._opened = False
        self._summary: Summary | None = None
        self._notes: list[Note] = []
        self._ping, self._notify = self._channel(targets.ping), self._channel(targets.notify)

    def _channel(self, address: Address | None) -> "Channel | None":
        if address is None:
            return None
        from batchgen.notifications.delivery import Channel  # with an HTTP client of its own, which few runs need

        return Channel(address, self._targets.route, self._patience)

    @property
    def _channels(self) -> "list[Channel]":
        return [channel for channel in (self._ping, self._notify) if channel is not None]

    # ---- while it runs ----

    def start(self) -> None:
        """Tell that the run begins."""
        if self._ping is not None:
            self._post(self._ping, Message("the ping of the start", b"", "text/plain", word="start"))

    def prepared(self, prepared: PreparedRun) -> None:
        """Take the name and the folder of the run from its manifest."""
        self._label = self._name = prepared.name
        self._folder, self._simulated = prepared.folder, prepared.request.simulate

    def around(self, host: Host) -> Host:
        """Return the host, for which this hears the events too."""
        if not self._channels and self._targets.on_exit is None:
            return host

        def listen(event: Event) -> None:
            self._hear(event)
            host.listen(event)

        return replace(host, listen=listen)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Snapshot):
            self._report()
        elif isinstance(event, Planned):
            self._opened = True
        elif isinstance(event, Alerted) and type(event.alert) in _EVENTS and self._notify is not None:
            word, text = _EVENTS[type(event.alert)], alert_text(self._label, event.alert.sentence, event.figures)
            self._webhook(word, text, event.figures)

    def _webhook(self, event: str, text: str, figures: Figures) -> None:
        if self._notify is not None:
            body = webhook_body(event, utc_now(), text, figures)
            self._post(self._notify, Message(f"the notification `{event}`", body, "application/json"))

    def _post(self, channel: "Channel", message: Message) -> None:
        try:
            channel.post(message)
        except RuntimeError as error:  # there is no thread to be had
            self._notes.append(Note(f"{message.what} was not delivered: {error}", is_problem=True))

    # ---- at its end ----

    def ended(self, summary: Summary) -> None:
        """Take over how the run ended; nothing is told yet."""
        self._summary = summary

    def end(self, error: BaseException | None = None) -> None:
        """Tell that the run has ended, by an error or with the summary, and wait until that is delivered or too late.

        Raises nothing but an interruption.
        """
        if not self._channels and self._targets.on_exit is None:
            return
        until = time.monotonic() + self._patience.linger
        with self._guarded():
            self._tell_the_end(error)
        for channel in self._channels:
            channel.wait(until)
        with ExitStack() as stack:
            if self._opened and self._folder.is_dir():
                with self._guarded():
                    stack.enter_context(logging_to(self._folder / LOG_NAME))
            # Without any handler Python would write to stderr what the listener is told anyway.
            self._report(logged=log.hasHandlers())

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Note whatever goes wrong in the block, and do not raise it: the run has ended as it has."""
        try:
            yield
        except Exception as problem:  # noqa: BLE001 - see above
            self._notes.append(Note(f"a notification failed: {printable(str(problem))}", is_problem=True))

    def _tell_the_end(self, error: BaseException | None) -> None:
        summary = self._summary if error is None else None
        if summary is not None:
            figures, more, given = figures_of(summary), _causes(summary), summary_json(summary)
        else:
            code = 0 if error is None else exit_code_of(error)
            figures, more = figures_now(self._name or None, simulated=self._simulated) | {"exit_code": code}, []
            given = figures
        text = end_text(self._label, figures)
        code = figures["exit_code"]
        if self._ping is not None:
            body = ping_body(text, figures, more)
            what = f"the ping of exit code {code}"
            self._post(self._ping, Message(what, body, "text/plain; charset=utf-8", word=str(code)))
        self._webhook("end", text, figures)
        for channel in self._channels:
            channel.close()
        if self._targets.on_exit is not None:
            folder = str(self._folder.absolute()) if self._opened else ""
            self._command(self._targets.on_exit, given, variables(figures, at=utc_now(), text=text, folder=folder))

    def _command(self, command: str, given: Figures, environment: Mapping[str, str]) -> None:
        end = run_command(command, f"{json.dumps(given)}\n".encode(), environment, self._environment, TIME_LIMIT)
        lines = without_keys(end.output).splitlines()[-_LINES_SHOWN:]
        self._notes += [Note(f"--on-exit: {line}", is_told=True) for line in lines]
        if end.problem is not None:
            self._notes.append(Note(f"--on-exit: {end.problem}", is_problem=True))

    def _report(self, *, logged: bool = True) -> None:
        """Log what became of notifications since the last time, and tell what went wrong."""
        outcomes = [outcome for channel in self._channels for outcome in channel.outcomes()]
        notes = [Note(outcome.sentence, is_problem=outcome.problem is not None) for outcome in outcomes] + self._notes
        self._notes = []
        for note in notes:
            if logged:
                log.log(logging.WARNING if note.is_problem else logging.INFO, "%s", note.text)
            if note.is_problem or note.is_told:
                self._tell(Notice(note.text))


def _causes(summary: Summary) -> list[str]:
    """Return why items did not succeed, without what the API said: that may repeat a prompt."""
    failures = summary.failures_by_cause
    lines = [f"{cause.items} {cause.state.value}: {cause.model}" for cause in failures.causes]
    if failures.more:
        lines.append(f"{failures.more} of other causes")
    for repair, word in ((failures.repair, "failed"), (failures.lost, "lost")):
        if repair is not None:
            lines.append(f"to buy {plural(repair.items, f'{word} item')} again: ${usd(repair.estimated)}")
    return lines


# ---- around a run ---------------------------------------------------------------------------------------------------


@contextmanager
def notifying(options: Mapping[str, Any], manifest: Path, tell: Listener = ignore) -> Iterator[Notifier]:
    """Tell of the run that the block makes: of its beginning, and of its end, however it ends.

    `tell` hears what went wrong with that. Raises UsageError for an address that cannot be used.
    """
    notifier = _started(options, manifest, tell)
    try:
        yield notifier
    except BaseException as error:
        notifier.end(error)
        raise
    notifier.end()


@asynccontextmanager
async def notifying_async(options: Mapping[str, Any], manifest: Path) -> AsyncIterator[Notifier]:
    """As `notifying`; the event loop does not stand still while the end is told."""
    notifier = _started(options, manifest, ignore)
    try:
        yield notifier
    except BaseException as error:
        await asyncio.to_thread(notifier.end, error)
        raise
    await asyncio.to_thread(notifier.end)


def _started(options: Mapping[str, Any], manifest: Path, tell: Listener) -> Notifier:
    notifier = Notifier(Targets.of(options, environ), manifest, environ, tell, PATIENCE)
    notifier.start()
    return notifier
