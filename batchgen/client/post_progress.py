"""How far a POST has come, which decides whether it can have been charged."""

from collections.abc import Callable
from types import SimpleNamespace

import aiohttp

from batchgen.client.kept import KeptPost, WithheldError
from batchgen.client.timeouts import Limit


class Sending:
    """What is known about one POST being sent."""

    __slots__ = ("connecting", "headers_left", "kept", "limit", "may_leave")

    def __init__(self, limit: Limit, kept: KeptPost | None, may_leave: Callable[[], bool]) -> None:
        self.connecting = False
        """Whether a connection is being made and does not exist yet."""
        self.headers_left = False
        self.kept = kept
        """What is known of the kept connection, if it must use one."""
        self.limit = limit
        self.may_leave = may_leave
        """Whether the request may leave at this moment."""


def sending_trace(idle: float) -> aiohttp.TraceConfig:
    """Return hooks that keep the `Sending` of each request up to date and give its answer `idle` seconds to begin."""

    async def headers_leave(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        # Called just before the headers are handed to the transport, never after (aiohttp/http_writer.py).
        sending: Sending = context.trace_request_ctx
        if not sending.may_leave():
            raise WithheldError
        sending.headers_left = True
        sending.limit.start(idle)

    async def connecting(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceConnectionCreateStartParams
    ) -> None:
        sending: Sending = context.trace_request_ctx
        if sending.kept is not None:
            raise WithheldError  # there was none, so aiohttp would make one
        sending.connecting = True

    async def connected(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceConnectionCreateEndParams
    ) -> None:
        context.trace_request_ctx.connecting = False

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(connecting)
    trace.on_connection_create_end.append(connected)
    trace.on_request_headers_sent.append(headers_leave)
    return trace
