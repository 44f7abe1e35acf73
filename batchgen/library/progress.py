"""Progress as a bar of tqdm, which notebooks draw by themselves."""

import sys
from collections.abc import Callable
from typing import Any

from batchgen.core.text import usd
from batchgen.session.host import Ended, Event, Snapshot


def in_notebook() -> bool:
    """Return whether this process serves a notebook."""
    return "ipykernel" in sys.modules


def bar() -> Callable[[Event], None]:
    """Return a listener that draws a bar."""
    from tqdm.auto import tqdm

    drawn: Any = None

    def listen(event: Event) -> None:
        nonlocal drawn
        if isinstance(event, Snapshot):
            if drawn is None:
                drawn = tqdm(total=event.items, unit="item", leave=True)
            drawn.set_postfix_str(f"{event.in_flight} in flight, ${usd(event.spent)} spent", refresh=False)
            drawn.update(event.done + event.failed + event.in_doubt - drawn.n)
        elif isinstance(event, Ended) and drawn is not None:
            drawn.close()

    return listen
