"""The HTTP client behind the API seam: `HttpApi` and `parse_base_url`."""

from batchgen.client.addresses import parse_base_url
from batchgen.client.http import HttpApi, Limits

__all__ = ["HttpApi", "Limits", "parse_base_url"]
