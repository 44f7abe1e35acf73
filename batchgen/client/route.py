"""How requests leave this machine: directly, or through an explicitly configured proxy.

A proxy is asked to CONNECT (RFC 9110, section 9.3.6): TLS reaches from here to the API, and the proxy sees only
host names. The environment's HTTPS_PROXY is not used automatically, since it may have been set for any other purpose;
it is only mentioned if it could be the reason for a failure.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

from batchgen.core.errors import UsageError

_PLAIN = re.compile(r"[\x21-\x7e]+")
_FOR_OTHERS = ("HTTPS_PROXY", "https_proxy")


@dataclass(frozen=True, slots=True)
class Route:
    """The route out of this machine."""

    proxy: URL | None = None
    """Without user name and password."""
    authorization: str | None = field(default=None, repr=False)
    """The value of `Proxy-Authorization` for the proxy."""
    ignored: str | None = None
    """A variable of the environment that names a proxy, which is not used."""

    @property
    def hint(self) -> str:
        """A hint to add if a name could not be resolved, or nothing."""
        if self.proxy is not None or self.ignored is None:
            return ""
        return f"; {self.ignored} is set but ignored: give the proxy with --proxy or BATCHGEN_PROXY"


DIRECT = Route()


def find_route(proxy: str | None, environment: Mapping[str, str]) -> Route:
    """Return the route through the proxy at this address, such as http://proxy.example:3128, or the direct one.

    Raises UsageError, which does not repeat the address: it may contain a password.
    """
    ignored = next((name for name in _FOR_OTHERS if environment.get(name)), None)
    if not proxy:
        return Route(ignored=ignored)
    text = proxy.strip()
    try:
        url = URL(text)
        if url.scheme != "http":
            raise UsageError(
                "the proxy's address must begin with http:// (SOCKS and TLS to the proxy are not supported)"
            )
        if not url.host or not url.port or not _PLAIN.fullmatch(text) or url.path not in ("", "/"):
            raise UsageError("the proxy's address cannot be read; give one such as http://proxy.example:3128")
        if url.raw_query_string or url.raw_fragment:
            raise UsageError("the proxy's address must end with its port, without ? or #")
        url.host.encode("idna")
    except ValueError:
        raise UsageError("the proxy's address cannot be read; give one such as http://proxy.example:3128") from None
    authorization = None
    if url.user is not None or url.password is not None:
        pair = f"{url.user or ''}:{url.password or ''}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"  # RFC 7617
    return Route(url.with_user(None).with_path("/"), authorization, ignored)
