"""The command line as the host of a session: it shows events, asks on the terminal, and prints the summary."""

import json
import shlex
import sys

import click

from batchgen.cli.listeners import Messages, RareCollections, Signals
from batchgen.cli.output import say
from batchgen.cli.process import loop_factory
from batchgen.cli.progress import Progress
from batchgen.core.descriptors import raise_limit
from batchgen.core.errors import ConsentNeeded, DiskError
from batchgen.core.text import printable
from batchgen.session.consent import BoughtElsewhere, RenamedItems, Spending
from batchgen.session.host import Event, Host, StopHandle
from batchgen.session.request import Renaming
from batchgen.session.summary import Summary, format_summary, summary_json

_PLACES_SHOWN = 3
"""How many places with purchases of the same items are listed one by one."""


def console_host(*, quiet: bool) -> Host:
    """Return a host that has this process, its terminal and its signals for itself."""
    stop = StopHandle()
    listeners = (Signals(stop), Messages(quiet=quiet), RareCollections(), Progress(sys.stderr, quiet=quiet))

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return Host(
        listen=listen,
        consent=TerminalConsent(),
        stop=stop,
        descriptors=raise_limit(),
        loop_factory=loop_factory(),
    )


class TerminalConsent:
    """Asks on the terminal; if there is none, names the flags that answer. Raises click.Abort if the user aborts."""

    def renamed(self, question: RenamedItems) -> Renaming:
        """Return what to do with purchases under another id. Raises ConsentNeeded."""
        _ask_on_terminal(
            question.sentences,
            "give --renamed adopt to keep the purchases under the new ids, or --renamed buy to buy again (--yes does"
            " not answer this)",
        )
        answer: Renaming = click.prompt(
            "adopt the purchases, or buy again?", type=click.Choice(["adopt", "buy"]), err=True
        )
        return answer

    def buy_again(self, question: BoughtElsewhere) -> bool:
        """Return whether what other records show as bought may be paid for again. Raises ConsentNeeded."""
        shown, more = question.known[:_PLACES_SHOWN], len(question.known) - _PLACES_SHOWN
        told = [found.sentence for found in shown]
        if more > 0:
            told.append(f"{more:,} more places show purchases")
        paths = [shlex.quote(str(found.path)) for found in shown if found.path is not None]
        flags = " ".join(f"--skip-bought {path}" for path in paths) or "--skip-bought PATH (its folder or its ledger)"
        _ask_on_terminal(told, f"give {flags} to leave those items out, or --buy-again to pay for them again")
        return click.confirm("buy all of them again?", default=False, err=True)

    def spend(self, question: Spending) -> bool:
        """Return whether the purchase may start. Raises ConsentNeeded."""
        cap = "" if question.capped else ", or set --max-cost or --budget"
        _ask_on_terminal(question.sentences, f"give --yes to confirm{cap}")
        if changed := question.plan.changed:
            more = ", …" if changed > len(question.edited) else ""
            click.echo(f"changed: {', '.join(question.edited)}{more}", err=True)
        return click.confirm("start?", default=False, err=True)


def _ask_on_terminal(sentences: tuple[str, ...] | list[str], flags: str) -> None:
    """Show what a question is about. Raises ConsentNeeded, which names the flags, if nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConsentNeeded(f"{'; '.join(sentences)}: {flags}")
    for sentence in sentences:
        click.echo(sentence, err=True)


def show_summary(summary: Summary, *, as_json: bool, quiet: bool) -> int:
    """Print how a run finished and return its exit code, even if printing fails: the summary is in the run folder."""
    try:
        _print(summary, as_json=as_json, quiet=quiet)
    except DiskError as error:
        click.echo(f"{error}; the summary is in {summary.folder}", err=True)
    return summary.exit_code


def _print(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary_json(summary), indent=2))
    elif not quiet:
        say(format_summary(summary))
    if summary.clock is not None and (as_json or quiet):
        say(f"note: {summary.clock}", err=True)
    if summary.stop is not None and (as_json or quiet):
        say(f"stopped: {printable(summary.detail, 2000)}", err=True)
