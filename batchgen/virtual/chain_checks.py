"""What must be true of chains, worked out anew from how the items stand, and not by the code that is checked."""

import sqlite3
from collections.abc import Iterator, Mapping

from batchgen.core.records import LIVE, PICKED, UNSUCCESSFUL, Item, State
from batchgen.journal.queries.chain_rows import ChainRow, chain_row, chain_rows
from batchgen.virtual.public_addresses import pictures_in


def check_inputs(db: sqlite3.Connection, item: Item, body: str, now: float) -> Iterator[str]:
    """Check a request that is about to leave at `now`, the provider's time: it has the outputs that its item needs.

    Each is of a finished item, of the job that made that item's present files, at an address that needs no key.
    """
    sent = {picture.place: picture for picture in pictures_in(body)}
    if sent.keys() != {needed.parameter for needed in item.inputs}:
        yield f"{item.id} left with {', '.join(sent) or 'no outputs'}, and needs {item.inputs}"
        return
    for needed in item.inputs:
        picture, source = sent[needed.parameter], chain_row(db, needed.item_id)
        if source is None or source.state is not State.DONE:
            yield f"{item.id} left, and {needed.item_id} is {source and source.state}"
        elif (picture.job_id, picture.output) != (source.job_id, needed.output):
            yield (
                f"{item.id} left with output {picture.output} of {picture.job_id}, and needs {needed.output} of"
                f" {needed.item_id}, which is {source.job_id}"
            )
        if picture.until <= now:
            yield f"{item.id} left with an address of {needed.item_id} that needs the key, or has lapsed"


def check_standing(db: sqlite3.Connection) -> Iterator[str]:
    """Check at the end of any invocation that is not killed that no item is skipped without a reason.

    What it needs may be on its way again: a lost job that the provider has found.
    """
    items = {row.id: row for row in chain_rows(db)}
    for row in items.values():
        if row.state is State.SKIPPED:
            if row.attempts:
                yield f"{row.id} is skipped, and was bought {row.attempts} times"
            if _made(row, items):
                yield f"{row.id} is skipped, and all that it needs was made"
            if row.reason is None:
                yield f"{row.id} is skipped without a reason"


def check_left(db: sqlite3.Connection) -> Iterator[str]:
    """Check at the end of a run that nothing stopped: what could be bought was, and what cannot be was skipped."""
    items = {row.id: row for row in chain_rows(db)}
    for row in items.values():
        if row.inputs and row.state is State.PENDING and not row.attempts and _doomed(row, items):
            yield f"{row.id} is pending, and something that it needs has failed"
        if startable(row, items) and row.reason is None:
            yield f"{row.id} was left, and could be bought"


def startable(row: ChainRow, items: Mapping[str, ChainRow]) -> bool:
    """Return whether an item is to be bought, and everything that it needs was made."""
    return row.state is State.PENDING and _made(row, items)


def _made(row: ChainRow, items: Mapping[str, ChainRow]) -> bool:
    return all(
        needed.output != PICKED
        and needed.item_id in items
        and items[needed.item_id].state is State.DONE
        and needed.output in items[needed.item_id].outputs
        for needed in row.inputs
    )


def settled(db: sqlite3.Connection) -> bool:
    """Return whether all has ended that can end: what still waits does so for an item in doubt."""
    items = {row.id: row for row in chain_rows(db)}
    if any(row.state in LIVE or startable(row, items) for row in items.values()):
        return False
    return all(_waits_for_doubt(row, items) for row in items.values() if row.state is State.PENDING)


def _doomed(row: ChainRow, items: Mapping[str, ChainRow]) -> bool:
    """Whether something that an item needs has not succeeded."""
    for needed in row.inputs:
        source = items.get(needed.item_id)
        if source is None or source.state in {*UNSUCCESSFUL, State.SKIPPED}:
            return True
        if source.state is State.DONE and needed.output != PICKED and needed.output not in source.outputs:
            return True
    return False


def _waits_for_doubt(row: ChainRow, items: Mapping[str, ChainRow]) -> bool:
    sources = [items[needed.item_id] for needed in row.inputs]
    return any(
        source.state is State.IN_DOUBT or (source.state is State.PENDING and _waits_for_doubt(source, items))
        for source in sources
    )
