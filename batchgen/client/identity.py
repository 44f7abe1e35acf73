"""Whether a simulator answers at an address of this machine: checked once, without a key, before any purchase."""

import json

from batchgen.client.addresses import is_loopback, parse_base_url

_PAGE = "/_simulator/"
_PATIENCE = 5.0
"""Seconds for each step of the request."""
_LONGEST = 4096


def is_simulator(base_url: str) -> bool | None:
    """Return whether `batchgen simulate` answers at `base_url`; None if nothing answers, or if it is not this machine.

    Other addresses are not asked: a simulator serves only this machine. Raises UsageError for an invalid address.
    """
    url = parse_base_url(base_url)
    if url.scheme != "http" or not is_loopback(url.host or ""):
        return None
    import http.client  # with the whole of email, which no other address needs

    connection = http.client.HTTPConnection(url.host or "", url.port, timeout=_PATIENCE)
    try:
        connection.request("GET", _PAGE)
        answer = json.loads(connection.getresponse().read(_LONGEST))
    except OSError:
        return None
    except (http.client.HTTPException, ValueError, RecursionError):
        return False  # something answers, but it is not a simulator
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.get("simulator") == "batchgen"
