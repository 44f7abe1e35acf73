"""Who may ask the viewer: decided from a request's headers alone.

Whoever has the token of the first address gets a cookie. Cookies are sent to every port of a machine, and by pages of
other sites too; so what browsers say of where a request comes from is checked as well (Fetch Metadata, W3C), and so is
the name under which the viewer was asked, which a page elsewhere can let point here (DNS rebinding).
"""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the program
    """A request that is not answered, with the HTTP status and a sentence that says why."""

    status: int
    reason: str


class Access:
    """What opens a viewer that listens on `host` and `port`. The secrets are new each time."""

    def __init__(self, host: str, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self.cookie = f"batchgen-{port}"
        """The name of the cookie; its port keeps viewers on one machine apart."""
        self.session = secrets.token_urlsafe(32)
        """The value of the cookie."""
        self._tickets: set[str] = set()
        self._everywhere = not is_loopback(host)
        self._names = {host.lower(), socket.gethostname().lower()} if self._everywhere else {"localhost"}

    def ticket(self) -> str:
        """Return a token that opens the viewer once: command lines, of browsers too, are seen by all on a machine."""
        ticket = secrets.token_urlsafe(32)
        self._tickets.add(ticket)
        return ticket

    def opens(self, token: str) -> bool:
        """Return whether a token opens the viewer; a ticket is used up."""
        given = token.encode(errors="replace")
        used = {ticket for ticket in self._tickets if hmac.compare_digest(ticket.encode(), given)}
        self._tickets -= used
        return bool(used) or hmac.compare_digest(self.token.encode(), given)

    def check_name(self, hosts: Sequence[str]) -> str:
        """Return the name and port under which the viewer was asked, of all `Host` headers of a request.

        Raises Refusal for a name that is not this machine's.
        """
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None or not self._is_ours(found[1].strip("[]").lower()):
            raise Refusal(421, "This viewer is not known under that name; use the address that it printed.")
        return hosts[0]

    def check(self, method: str, host: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> None:
        """Raise Refusal unless a request may be answered; `host` is what `check_name` returned."""
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refusal(403, "The viewer answers its own page only.")
        origin = headers.get("Origin")
        if origin != f"http://{host}" and not (origin is None and method in _READING):
            raise Refusal(403, "The viewer answers its own page only.")
        session = cookies.get(self.cookie, "").encode(errors="replace")
        if not hmac.compare_digest(self.session.encode(), session):
            raise Refusal(401, "Open the address that `batchgen view` printed, token and all.")

    def _is_ours(self, name: str) -> bool:
        # An address in figures cannot be made to point elsewhere; another port may come from a tunnel.
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names or (self._everywhere and name == "localhost")
        return self._everywhere or address.is_loopback


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a port that is opened on `host`, a name or an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
