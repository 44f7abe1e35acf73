"""The way to the coordinator over HTTP. See `batchgen.engine.transport.Transport`."""

import asyncio
import json
from typing import Any, Self

import aiohttp

from batchgen.core.text import json_object
from batchgen.engine.codec import UnreadableError
from batchgen.engine.messages import PROTOCOL, Answer, Begun, Exchange
from batchgen.engine.transport import GoneError, UnreachableError

_GONE = 410
_OK = 200
_TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=3.0)


class HttpTransport:
    """Speaks to the coordinator's service; an async context manager."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def begin(self, start: str, worker: str) -> Begun:
        return Begun.decoded(await self._post("begin", {"start": start, "worker": worker, "protocol": PROTOCOL}))

    async def exchange(self, exchange: Exchange) -> Answer:
        return Answer.decoded(await self._post("exchange", exchange.encoded()))

    async def _post(self, path: str, message: dict[str, Any]) -> Any:
        body = json.dumps(message, separators=(",", ":")).encode()
        try:
            async with self._session.post(f"{self._url}/{path}", data=body) as response:
                content = await response.read()
                if response.status == _GONE:
                    raise GoneError
                if response.status != _OK:
                    raise UnreachableError(f"the coordinator answers {response.status}")
                answer = json_object(content)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            raise UnreachableError(str(error) or type(error).__name__) from error
        if answer is None:
            raise UnreadableError("the coordinator's answer is no JSON object")
        return answer
