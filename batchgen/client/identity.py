"""Whether a simulator answers at an address of this machine: asked once, without a key, before anything is bought."""

import http.client
import json

from batchgen.client.addresses import is_loopback, parse_base_url

_PAGE = "/_simulator/"
_PATIENCE = 5.0
"""Seconds for each step of asking."""
_LONGEST = 4096


def is_simulator(base_url: str) -> bool | None:
    """Return whether `batchgen simulate` answers at `base_url`; None where nothing answers, or it is not this machine.

    No other address is asked: a simulator serves this machine alone. Raises UsageError for an address that is none.
    """
    url = parse_base_url(base_url)
    if url.scheme != "http" or not is_loopback(url.host or ""):
        return None
    connection = http.client.HTTPConnection(url.host or "", url.port, timeout=_PATIENCE)
    try:
        connection.request("GET", _PAGE)
        answer = json.loads(connection.getresponse().read(_LONGEST))
    except OSError:
        return None
    except (http.client.HTTPException, ValueError, RecursionError):
        return False  # something answers, and it is none
    finally:
        connection.close()
    return isinstance(answer, dict) and answer.get("simulator") == "batchgen"
