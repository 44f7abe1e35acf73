"""Where notifications go. Anybody who knows such an address can write to it: its path and query are never shown."""

import re
from dataclasses import dataclass, field

from yarl import URL

from batchgen.client.addresses import is_loopback
from batchgen.core.errors import UsageError

_PLAIN = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a check or a webhook."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    """As written, percent-encoded; begins with a slash."""
    query: str = field(default="", repr=False)
    """As written, without the question mark."""

    @property
    def shown(self) -> str:
        """The address as logs and messages may show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == {"https": 443, "http": 80}[self.scheme]
        return f"{self.scheme}://{host}{'' if usual else f':{self.port}'}"

    @property
    def is_local(self) -> bool:
        """Whether it can only mean this machine."""
        return is_loopback(self.host)

    def target(self, word: str = "") -> str:
        """Return what is requested of the server: path and query, with `word` as the last part of the path."""
        path = f"{self.path.rstrip('/')}/{word}" if word else self.path
        return f"{path}?{self.query}" if self.query else path


def parse_address(text: str, option: str) -> Address:
    """Return the address that `option` gives: https, or http to this machine.

    Raises UsageError, which does not repeat the address.
    """
    text = text.strip()
    try:
        url = URL(text, encoded=True)
        host, port = url.raw_host, url.port
        if not host or not port or not _PLAIN.fullmatch(text):
            raise ValueError
        host.encode("idna")
        if "#" in text or url.raw_user is not None or url.raw_password is not None:
            raise UsageError(f"{option}: the address must not contain a user name, a password or a `#`")
    except ValueError:
        raise UsageError(
            f"{option}: expected the address of a server, such as https://example.com/path; it is not shown here,"
            " since it may contain a secret"
        ) from None
    address = Address(url.scheme, host, port, url.raw_path or "/", url.raw_query_string)
    if address.scheme != "https" and not (address.scheme == "http" and address.is_local):
        raise UsageError(f"{option}: the address must begin with https:// (http:// only on this machine)")
    return address
