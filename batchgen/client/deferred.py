"""A client that is made once something is asked of the API: a run with nothing to do loads no HTTP client."""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from batchgen.api import Api, Output, PollAnswer, SubmitAnswer
from batchgen.client.addresses import check_key, parse_base_url
from batchgen.client.route import DIRECT, Route


class DeferredApi:
    """An `Api` behind which another one is made when it is needed first. Use it inside one running event loop."""

    def __init__(self, make: Callable[[], Api]) -> None:
        self._make = make
        self._made: Api | None = None

    def open(self) -> Api:
        """Return the client, which is made now if it was not needed before."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def clock_offset(self) -> timedelta | None:
        """See `batchgen.api.Api`."""
        return None if self._made is None else self._made.clock_offset

    def submit(self, body: str, endpoint: str, *, wait: bool) -> Coroutine[Any, Any, SubmitAnswer]:
        """See `batchgen.api.Api`."""
        return self.open().submit(body, endpoint, wait=wait)

    def poll(self, job_id: str) -> Coroutine[Any, Any, PollAnswer]:
        """See `batchgen.api.Api`."""
        return self.open().poll(job_id)

    def open_output(self, url: str) -> AbstractAsyncContextManager[Output]:
        """See `batchgen.api.Api`."""
        return self.open().open_output(url)

    def public_address(self, url: str) -> Coroutine[Any, Any, str]:
        """See `batchgen.api.Api`."""
        return self.open().public_address(url)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._made is not None:
            await self._made.aclose()


def connect_later(
    base_url: str, key: str, *, route: Route = DIRECT, may_post: Callable[[], bool] = lambda: True
) -> DeferredApi:
    """Return a client that makes an `HttpApi` of these once something is asked.

    Raises UsageError for a base URL or a key that cannot be used, at once.
    """
    parse_base_url(base_url)
    check_key(key)

    def make() -> Api:
        from batchgen.client.http import (
            HttpApi,
        )  # with aiohttp, which takes a fifth of a second to load

        return HttpApi(base_url, key, route=route, may_post=may_post)

    return DeferredApi(make)
