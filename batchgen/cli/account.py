"""What the commands that talk to the API share: which API and which key, and saying how a run ended."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from batchgen.client import Route, find_route, is_simulator, parse_base_url
from batchgen.client.addresses import is_loopback
from batchgen.core.credentials import SIMULATED_KEY, ApiKey, find_key
from batchgen.core.errors import DiskError, UsageError
from batchgen.core.text import printable
from batchgen.journal import SIMULATOR, Binding, Journal
from batchgen.session import Summary, format_summary, mark, simulator, summary_json

DEFAULT_BASE_URL = "https://api18.dev"


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """An API address and the key for it; a simulated one has no address before its process runs."""

    base_url: str | None
    key: ApiKey

    @property
    def binding(self) -> Binding:
        """The API and the account, as a run folder remembers them."""
        return Binding(self.base_url or SIMULATOR, self.key.fingerprint)

    @contextmanager
    def connected(self, folder: Path) -> Iterator[str]:
        """Give the base URL while the block runs, with a simulator behind it where the money is pretend money."""
        if self.base_url is not None:
            yield self.base_url
        else:
            with simulator(folder) as url:
                yield url


def account_for(
    *, simulate: bool, base_url: str | None, manifest_folder: Path | None, key_file: Path | None
) -> ApiAccount:
    """Return the account that the options mean.

    Raises UsageError for a missing or malformed key or address, and for a simulated run with a --base-url that was
    typed; the variable may stand for other runs.
    """
    if simulate:
        if _typed("base_url"):
            raise UsageError("a simulated run has a simulator of its own: --base-url does not go with it")
        return ApiAccount(None, SIMULATED_KEY)
    return ApiAccount(_address(base_url or DEFAULT_BASE_URL), find_key(manifest_folder, key_file, os.environ))


def account_of_run(
    facts: Mapping[str, str], *, base_url: str | None, manifest_folder: Path | None, key_file: Path | None
) -> ApiAccount:
    """Return the account for a run folder with these facts, at the address that it is bound to or at `base_url`.

    Raises UsageError as `account_for` does. A run folder may come from anybody, and the key goes where its journal
    says; so an address that is neither the provider's nor on this machine has to be confirmed by `base_url`.
    """
    recorded = facts.get("api", DEFAULT_BASE_URL)
    simulated = recorded == SIMULATOR
    # Another address that was given is for `bind` to refuse; the key does not go where only the folder says.
    if not simulated and base_url is None and not _is_trusted(_address(recorded)):
        raise UsageError(
            f"this run folder was bought from at {printable(recorded)}, which is not the provider's own address: give "
            f"--base-url {printable(recorded)} if your key may go there"
        )
    return account_for(
        simulate=simulated, base_url=base_url or recorded, manifest_folder=manifest_folder, key_file=key_file
    )


def route_to(account: ApiAccount, proxy: str | None) -> Route:
    """Return the way to an account's API, and say so where a proxy has no part in it. Raises UsageError."""
    route = find_route(proxy, os.environ)
    local = account.base_url is None or parse_base_url(account.base_url).scheme == "http"
    if route.proxy is not None and local:
        click.echo("the proxy is not used: the API is on this machine", err=True)
    return route


def _address(text: str) -> str:
    return str(parse_base_url(text)).rstrip("/")


def _is_trusted(address: str) -> bool:
    return address == DEFAULT_BASE_URL or is_loopback(parse_base_url(address).host or "")


def _typed(parameter: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def mark_if_simulated(account: ApiAccount, journal: Journal) -> None:
    """Note in a run folder whether its API is a simulator on this machine. Raises RunFolderError, see `mark`."""
    if account.base_url is not None:
        mark(journal, simulated=is_simulator(account.base_url))


def tell_notices(journal: Journal) -> None:
    """Say what was unusual about a run folder when it was opened."""
    for notice in journal.notices:
        click.echo(f"note: {printable(notice, 2000)}", err=True)


def tell(summary: Summary, *, as_json: bool, quiet: bool) -> int:
    """Print how a run ended and return its exit code, which no output takes away: the summary is in the run folder."""
    try:
        _print(summary, as_json=as_json, quiet=quiet)
    except DiskError as error:
        click.echo(f"{error}; the summary is in {summary.folder}", err=True)
    return summary.exit_code


def _print(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary_json(summary), indent=2))
    elif not quiet:
        click.echo(format_summary(summary))
    if summary.clock is not None and (as_json or quiet):
        click.echo(f"note: {summary.clock}", err=True)
    if summary.stop is not None and (as_json or quiet):
        click.echo(f"stopped: {printable(summary.detail, 2000)}", err=True)
