"""What the command line does to its own process, and nothing below it does: signals and the kind of event loop."""

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from types import FrameType


def stopping_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a process to stop in order: Ctrl-C, SIGTERM, and SIGHUP unless that is ignored.

    `nohup` has it ignored from the start, so that the run continues when its terminal is closed (POSIX, nohup).
    """
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if ignored else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on(*numbers: signal.Signals) -> None:
    """Let these signals raise KeyboardInterrupt, so that whatever is under way is tidied up."""
    for number in numbers:
        signal.signal(number, _interrupt)


_heard: list[int] = []


def _interrupt(number: int, _: "FrameType | None") -> None:
    _heard.append(number)
    raise KeyboardInterrupt


def interruptions() -> list[int]:
    """Return the signals that have raised KeyboardInterrupt since they were last cleared; the list itself.

    In a function that SQLite calls, an exception becomes an error of SQLite's own, which does not say what it was.
    """
    return _heard


def loop_factory() -> "Callable[[], AbstractEventLoop] | None":
    """Return what makes the fastest event loop that is installed; None for Python's own."""
    try:
        import uvloop  # the extra `fast`
    except ImportError:
        return None
    factory: Callable[[], AbstractEventLoop] = uvloop.new_event_loop
    return factory
