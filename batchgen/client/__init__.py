"""The HTTP client behind the API seam: `HttpApi`, and the rules for addresses and routes."""

from batchgen.client.addresses import parse_base_url
from batchgen.client.http import HttpApi
from batchgen.client.identity import is_simulator
from batchgen.client.limits import Limits
from batchgen.client.route import DIRECT, Route, find_route

__all__ = ["DIRECT", "HttpApi", "Limits", "Route", "find_route", "is_simulator", "parse_base_url"]
