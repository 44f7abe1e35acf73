"""What all tests share: none of them touches the register of the runs of whoever runs them."""

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from support.running import handlers_put_back

settings.register_profile("untimed", deadline=None)  # machines differ, and are shared
settings.register_profile("quick", deadline=None, max_examples=10)  # for `make test-quick`
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
os.environ["BATCHGEN_REGISTER"] = ""
# From here on, a thread without an event loop is told so: pytest-asyncio asks for it, and would be given a new one that
# nobody closes, for which the test is blamed that happens to collect garbage.
asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _commands_keep_no_signals() -> Iterator[None]:
    """A command that is called in this process sets handlers, and the signals of later tests are not its own."""
    with handlers_put_back():
        yield
