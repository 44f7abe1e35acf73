"""Network errors: aiohttp's exceptions, and plain words for them."""

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from batchgen.core.descriptors import TOO_MANY, is_lack
from batchgen.core.text import printable

# What aiohttp raises for a request, an answer or a body; timeouts are OSErrors. A host name that no codec
# accepts, or a header with control characters, raises ValueError.
WIRE_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
# Raised only by the connector, before any request is sent (aiohttp/connector.py): DNS, refused, TLS, timeouts, and a
# proxy that makes no tunnel.
NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


def explain(error: Exception) -> str:
    """Return what happened, in the operating system's or OpenSSL's own words, with nothing from the request."""
    name = type(error).__name__
    what = next((f"{words} ({name})" for kind, words in _IN_WORDS if isinstance(error, kind)), name)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    details = cause.strerror if isinstance(cause, OSError) else None
    if isinstance(error, aiohttp.ClientHttpProxyError):
        details = f"HTTP {error.status}"
    if is_lack(cause):
        details = TOO_MANY
    return printable(f"{what}: {details}" if details else what, 200)


# Specific ones first: each is a subclass of a later one.
_IN_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "timed out while connecting"),
    (TimeoutError, "timed out waiting for data"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused the connection"),
    (aiohttp.ClientConnectorDNSError, "the host name is unknown"),
    (aiohttp.ClientConnectorCertificateError, "the certificate is not trusted"),
    (aiohttp.ClientSSLError, "the TLS connection failed"),
    (aiohttp.ClientConnectorError, "the connection failed"),
    (aiohttp.ClientPayloadError, "the answer was cut off"),
    (HttpProcessingError, "the answer is not valid HTTP"),
    (ConnectionResetError, "the connection was reset"),
)
