"""Which API and which key a session uses, and how it reaches them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from batchgen.api import DEFAULT_BASE_URL, Api
from batchgen.client import Route, connect_later, find_route, is_simulator, parse_base_url
from batchgen.client.addresses import is_loopback
from batchgen.core.credentials import SIMULATED_KEY, ApiKey
from batchgen.core.errors import UsageError
from batchgen.core.text import printable
from batchgen.journal import SIMULATOR, Binding, Journal
from batchgen.session.connection.embedded_simulator import simulator
from batchgen.session.run_folder import note_simulated

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """An API address and the key for it; a simulated one has no address before its process runs."""

    base_url: str | None
    key: ApiKey
    catalog: Path | None = None
    """The parameter tables that a simulated one uses; None: the shipped ones."""

    @property
    def binding(self) -> Binding:
        """The API and the account, as a run folder remembers them."""
        return Binding(self.base_url or SIMULATOR, self.key.fingerprint)

    @property
    def is_local(self) -> bool:
        """Whether the API is on this machine."""
        return self.base_url is None or parse_base_url(self.base_url).scheme == "http"

    @contextmanager
    def connected(self, journal: Journal) -> Iterator[str]:
        """Give the base URL while the block runs, with a simulator behind it where the money is pretend money."""
        if self.base_url is not None:
            yield self.base_url
        else:
            with simulator(journal.path.parent, self.catalog) as url:
                yield url

    def note_simulated(self, journal: Journal) -> None:
        """Note in a run folder whether its API is a simulator on this machine.

        Raises RunFolderError where purchases of the other kind are in the folder.
        """
        if self.base_url is not None:
            note_simulated(journal, simulated=is_simulator(self.base_url))


@dataclass(frozen=True, slots=True)
class Access:
    """How the API is to be reached, as it was asked for."""

    find_key: Callable[[], ApiKey]
    """Returns the key, or raises UsageError; called once it is needed, and not for a simulated run."""
    base_url: str | None = None
    base_url_is_default: bool = False
    """Whether `base_url` stands for all runs, as a variable of the environment does: a simulated one passes it over."""
    proxy: str | None = None
    rotated_key: bool = False
    """Whether the key is a new one of the account that the run began with."""
    environment: Mapping[str, str] = field(default_factory=dict)
    catalog: Path | None = None
    """The parameter tables that an embedded simulator uses; None: the shipped ones."""

    def account(self, *, simulate: bool) -> ApiAccount:
        """Return the account for a new purchase.

        Raises UsageError for a missing or malformed key or address, and for a simulated run with an address of its own.
        """
        if simulate:
            if self.base_url is not None and not self.base_url_is_default:
                raise UsageError("--simulate starts its own simulator; leave out --base-url")
            return ApiAccount(None, SIMULATED_KEY, self.catalog)
        return ApiAccount(_address(self.base_url or DEFAULT_BASE_URL), self.find_key())

    def account_of(self, facts: Mapping[str, str]) -> ApiAccount:
        """Return the account for a run folder with these facts, at the address that it is bound to or at `base_url`.

        Raises UsageError as `account` does. A run folder may come from anybody, and the key goes where its journal
        says; so an address that is neither the provider's nor on this machine has to be confirmed by `base_url`.
        """
        recorded = facts.get("api", DEFAULT_BASE_URL)
        if recorded == SIMULATOR:
            return self.account(simulate=True)
        # Another address that was given is for `bind_account` to refuse; the key does not go where only a folder says.
        if self.base_url is None and not _is_trusted(_address(recorded)):
            raise UsageError(
                f"the purchases in this run folder were made at {printable(recorded)}, which is not the provider's"
                f" own address; to send your key there, give --base-url {printable(recorded)}"
            )
        return ApiAccount(_address(self.base_url or recorded), self.find_key())

    def route_to(self, account: ApiAccount, tell: Callable[[str], None]) -> Route:
        """Return the way to an account's API; `tell` is called where a proxy has no part in it. Raises UsageError."""
        route = find_route(self.proxy, self.environment)
        if route.proxy is not None and account.is_local:
            tell("the proxy is not used: the API is on this machine")
        return route


def call_api(account: ApiAccount, route: Route, journal: Journal, work: Callable[[Api], Awaitable[_T]]) -> _T:
    """Return what `work` returns, with a client of the account's API, in an event loop of its own.

    Not in a thread whose event loop is running.
    """

    async def main(url: str) -> _T:
        api = connect_later(url, account.key.reveal(), route=route)
        try:
            return await work(api)
        finally:
            await api.aclose()

    with account.connected(journal) as url:
        return asyncio.run(main(url))


def _address(text: str) -> str:
    return str(parse_base_url(text)).rstrip("/")


def _is_trusted(address: str) -> bool:
    return address == DEFAULT_BASE_URL or is_loopback(parse_base_url(address).host or "")
