"""The HTTP client behind the API seam, and the rules for addresses and routes.

`HttpApi` is in `http`, and not offered here: whatever only reads an address loads no more than that.
"""

from batchgen.client.addresses import parse_base_url
from batchgen.client.deferred import DeferredApi, connect_later
from batchgen.client.identity import is_simulator
from batchgen.client.limits import Limits
from batchgen.client.route import DIRECT, Route, find_route

__all__ = [
    "DIRECT",
    "DeferredApi",
    "Limits",
    "Route",
    "connect_later",
    "find_route",
    "is_simulator",
    "parse_base_url",
]
