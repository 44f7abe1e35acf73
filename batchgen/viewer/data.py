"""The data of the page as JSON, and the picks that it sends."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiohttp import web

from batchgen.core.clock import utc_now
from batchgen.core.errors import UsageError
from batchgen.core.text import stamp
from batchgen.journal.merging.marks import refuse_closed
from batchgen.page import Changed, Filter, RunPage
from batchgen.picks import Pick, append_picks
from batchgen.viewer.access import Refusal
from batchgen.viewer.events import Events
from batchgen.viewer.reader import Known, Overviews, Reader
from batchgen.viewer.said import All, Line, read_all, read_lines

MOST_BYTES = 1 << 22
"""Bytes of a request's body."""
_MOST_TILES = 500
_FARTHEST = 1 << 53
_Append = Callable[[RunPage], tuple[int, Changed]]


class Data:
    """Answers what the page asks of a run."""

    def __init__(self, reader: Reader, overviews: Overviews, events: Events, known: Known) -> None:
        self._reader, self._overviews, self._events, self._known = reader, overviews, events, known

    async def overview(self, _: web.Request) -> web.Response:
        """Answer with how the run stands as a whole."""
        return _json(await self._overviews.latest())

    async def tiles(self, request: web.Request) -> web.Response:
        """Answer with a part of the tiles. Raises UsageError."""
        query = {name: request.query.getall(name) for name in request.query}
        where = Filter.from_query(query)
        limit = _number(query, "limit", 100, _MOST_TILES)
        offset = _number(query, "offset", 0, _FARTHEST)
        around = _number(query, "around", 0, _FARTHEST) if "around" in query else None
        found = await self._reader.call(lambda page: page.tiles(where, offset, limit, around))
        self._known.add(found["tiles"])
        return _json(found)

    async def item(self, request: web.Request) -> web.Response:
        """Answer with all that is known of an item. Raises Refusal."""
        key = int(request.match_info["key"])
        found = await self._reader.call(lambda page: page.detail(key))
        if found is None:
            raise Refusal(404, "There is no such item in this run.")
        self._known.add(found["outputs"])
        return _json(found)

    async def pick(self, request: web.Request) -> web.Response:
        """Record picks of single outputs, all of them or none. Raises UsageError, Refusal, DiskError."""
        lines = read_lines(await _body(request))
        return await self._picked(lambda page: _append(page, list(_picks_of(page, lines, stamp(utc_now())))))

    async def pick_all(self, request: web.Request) -> web.Response:
        """Record picks of all outputs that a filter shows, or none. Raises UsageError, Refusal, DiskError."""
        wanted = read_all(await _body(request))
        return await self._picked(lambda page: _append(page, _picks_of_all(page, wanted, stamp(utc_now()))))

    async def _picked(self, append: _Append) -> web.Response:
        picked, changed = await self._reader.call(append)
        self._events.tell(changed)
        return _json({"picked": picked})


def _append(page: RunPage, picks: Iterable[Pick]) -> tuple[int, Changed]:
    """Append picks, and return how many there were and what has changed with them."""
    count = 0

    def counted() -> Iterator[Pick]:
        nonlocal count
        for count, pick in enumerate(picks, 1):  # noqa: B007 - counts for the function around it
            yield pick

    refuse_closed(page.folder)
    append_picks(page.folder, counted())
    return count, page.refresh()


def _picks_of(page: RunPage, lines: Sequence[Line], now: str) -> Iterator[Pick]:
    for line in lines:
        output = next((one for one in page.pickable_of(line.key) if one.output == line.n), None)
        if output is None:
            raise Refusal(409, "An output cannot be picked: its item is not done, or was changed. Nothing was saved.")
        if output.sha256 != line.sha256:
            name = f"Output {output.output} of {output.item}"
            raise Refusal(409, f"{name} has another file than the one you looked at. Nothing was saved.")
        if (pick := line.said.of(output, now)) is not None:
            yield pick


def _picks_of_all(page: RunPage, wanted: All, now: str) -> Iterator[Pick]:
    for number, output in enumerate(page.pickable(wanted.where), 1):
        if number > wanted.most:
            raise Refusal(409, f"More than {wanted.most:,} outputs are shown by now. Nothing was saved; look again.")
        if (pick := wanted.said.of(output, now)) is not None:
            yield pick


async def _body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise Refusal(415, "expected application/json")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise Refusal(413, f"A request must have at most {MOST_BYTES:,} bytes. Nothing was saved.") from error


def _number(query: Mapping[str, Sequence[str]], name: str, default: int, most: int) -> int:
    """Return a parameter of an address. Raises UsageError unless it is a whole number from 0 to `most`."""
    text = query.get(name, [str(default)])[-1]
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= most):
        raise UsageError(f"{name}: expected a whole number from 0 to {most}, got {text!r:.40}")
    return int(text)


def _json(values: dict[str, Any]) -> web.Response:
    # ASCII: prompts may hold half a surrogate pair, which is no UTF-8.
    return web.Response(body=json.dumps(values).encode(), content_type="application/json", charset="utf-8")
