"""Where requests may go: the base URL, the addresses of outputs, and who is allowed to see the key."""

import ipaddress
import re
from urllib.parse import quote

from yarl import URL

from batchgen.core.errors import UsageError

Origin = tuple[str, str, int | None]
"""Scheme, host and port."""
_PLAIN = re.compile(r"[\x21-\x7e]+")
_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_LIKE_A_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def parse_base_url(text: str) -> URL:
    """Return the API's address: https, or http if it stays on this machine (127.0.0.0/8, ::1, localhost).

    Raises UsageError for anything else, and for user names, queries and fragments: they would
    travel with each request.
    """
    text = text.strip()
    try:
        url = URL(text)
        if url.host is None or not url.port or not _PLAIN.fullmatch(text):
            raise UsageError(f"the base URL must be the address of a server, such as https://api18.dev; got {text!r}")
        url.host.encode("idna")
    except ValueError as error:
        raise UsageError(f"the base URL cannot be read; give one such as https://api18.dev; got {text!r}") from error
    if url.user is not None or url.password is not None:
        # The text is not repeated: the part before the @ may be a password.
        raise UsageError("the base URL must not contain a user name or password; the key is taken from API18_KEY")
    if "?" in text or "#" in text:
        raise UsageError(f"the base URL must end with its path, without ? or #; got {text!r}")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
        raise UsageError(f"the base URL must begin with https:// (http:// only on this machine); got {text!r}")
    return url


def check_key(key: str) -> None:
    """Raise UsageError for a key that cannot stand in a header."""
    if not _KEY.fullmatch(key):
        raise UsageError("the API key contains invalid characters; copy it again from the dashboard")


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address, can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet (IANA's special-purpose registries).

    An IPv6 address that only carries an IPv4 address inside (mapped, 6to4, NAT64) is judged by the IPv4 address.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        ip = ip.ipv4_mapped or ip.sixtofour or nat64 or ip
    return ip.is_global and not ip.is_multicast


class Addresses:
    """The addresses of one API."""

    def __init__(self, base: URL) -> None:
        self._path = base.raw_path.rstrip("/")
        self.host = base.host_port_subcomponent or ""
        """The `Host` of requests to the API (RFC 9110, section 7.2)."""
        self.own = origin_of(base)
        self.local = base.scheme == "http"
        """Whether the API runs on this machine, without TLS: a simulator, whose files are on this machine too."""

    def post(self, endpoint: str, *, wait: bool) -> str:
        """Return path and query of a create call (docs/api.md)."""
        return f"{self._path}{endpoint}{'?wait=true' if wait else ''}"

    def job(self, job_id: str) -> str:
        """Return the path of a job's status, percent-encoded, whatever characters the server put in the id."""
        return f"{self._path}/v1/jobs/{quote(job_id, safe='')}"

    def output(self, text: str, before: URL | None = None) -> URL:
        """Return the address of an output, or of the redirect `text` that `before` answered with.

        Raises ValueError, with a reason that does not repeat the address, for one that must not be requested.
        """
        try:
            # A signed address is signed as written: quote it again only where necessary.
            url = URL(text, encoded=_PLAIN.fullmatch(text) is not None)
            if before is not None and not url.absolute and not url.scheme:
                url = before.join(url)
            host, scheme = url.raw_host, url.scheme
        except ValueError:
            raise ValueError("the address cannot be read") from None
        if not host or not url.port:
            raise ValueError("the address is incomplete")
        if url.user is not None or url.password is not None:
            raise ValueError("the address contains a user name or password")
        if scheme != "https" and not (scheme == "http" and self.local):
            raise ValueError("the address is not https")
        if not self.is_own(url) and not self.local and _is_private_literal(host):
            raise ValueError("the address is private")
        return url.with_fragment(None) if url.raw_fragment else url

    def is_own(self, url: URL) -> bool:
        """Return whether `url` is on the API's own origin (RFC 6454), the only one that may see the key."""
        return origin_of(url) == self.own


def redirect_in_words(location: str, before: Origin) -> str:
    """Return where a redirect of `before`, an origin, leads, without path and query: either may contain a secret."""
    try:
        url = URL(location)
        host, port = url.host, url.explicit_port
    except ValueError:
        return "an address that cannot be read"
    if not url.absolute or origin_of(url) == before:
        return "another address of the same server"
    return f"{url.scheme}://{host or ''}{'' if port is None else f':{port}'}"


def origin_of(url: URL) -> Origin:
    """Return the origin of an address (RFC 6454)."""
    # `raw_host` is what aiohttp connects to.
    return url.scheme, (url.raw_host or "").lower(), url.port


def _is_private_literal(host: str) -> bool:
    # aiohttp does not pass literals to the resolver; names are checked by `PublicResolver`.
    try:
        return not is_public(host)
    except ValueError:
        # 127.1, 2130706433, 0x7f.1: forms that some resolvers treat as addresses. No real name looks like that.
        return ":" in host or _LIKE_A_NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None
