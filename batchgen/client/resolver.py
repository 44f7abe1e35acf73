"""The resolver of names for outputs that lie elsewhere."""

import errno
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from batchgen.client.addresses import is_public


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses only, so that no output can make this machine contact its own network.

    aiohttp connects to the very addresses returned here, so a name that answers differently each time gains nothing.
    """

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the public addresses of `host`; raises OSError if there are none."""
        try:
            found = await self._resolver.resolve(host, port, family)
        except UnicodeError:  # Python's IDNA codec refuses empty labels and those beyond 63 characters with it
            raise OSError(errno.EINVAL, "not a valid host name") from None
        # A scoped address (fe80::1%eth0) is never public, and `ip_address` reads the scope.
        public = [entry for entry in found if is_public(entry["host"])]
        if not public:
            raise OSError(errno.EACCES, "the name resolves to a private address")
        return public

    async def close(self) -> None:
        """Do nothing: the threaded resolver has nothing to close."""
