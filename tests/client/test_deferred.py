"""The client that is made when something is first asked of it."""

import pytest
from support.rawserver import unused_port

from batchgen.api import Api, NotSent
from batchgen.client import DeferredApi, connect_later
from batchgen.client.http import HttpApi
from batchgen.core.errors import UsageError

KEY = "api18_canary0123456789"


async def test_it_is_made_once_and_only_when_it_is_needed() -> None:
    made: list[Api] = []

    def make() -> Api:
        made.append(HttpApi(f"http://127.0.0.1:{unused_port()}", KEY))
        return made[-1]

    unused = DeferredApi(make)
    assert unused.clock_offset is None
    await unused.aclose()
    assert not made
    api = DeferredApi(make)
    assert isinstance(await api.submit("{}", "/v1/generate", wait=False), NotSent)
    await api.poll("job")
    assert [api.open()] == made
    await api.aclose()


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [("http://api18.dev", KEY, "must begin with https"), ("https://api18.dev", "two\nlines", "invalid characters")],
)
def test_what_cannot_be_used_is_refused_at_once(url: str, key: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        connect_later(url, key)
