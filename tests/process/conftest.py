"""Commands that run in the test's own process collect garbage there, and are not to be blamed for what others left."""

import gc
import warnings

import pytest


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_by_others() -> None:
    """Collect what earlier modules left: pytest-asyncio 1.1, the oldest there may be, leaves an event loop open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
