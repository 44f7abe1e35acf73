"""Into how many shards a run is divided: written down by the first of them, and the same for all that follow."""

import json
from collections.abc import Callable

from batchgen.core.errors import RunFolderError
from batchgen.core.text import json_object
from batchgen.lease.port import LeasePlace

_FORMAT = 1


def bind(place: LeasePlace, run: str, shards: int, is_merged: Callable[[int], bool] = lambda _: False) -> None:
    """Write down that a run has so many shards, or check that it has.

    `is_merged` says of another number whether the shards of that division were merged, so that they buy nothing more.
    Raises RunFolderError where they were not: items would be in other shards, and bought again there.
    """
    name = f"{run}/shards"
    content = json.dumps({"division": _FORMAT, "run": run, "shards": shards}).encode()
    if place.create(name, content) is not None:
        return
    found = place.read(name)
    values = {} if found is None else json_object(found.content) or {}
    bound = values.get("shards")
    if not isinstance(bound, int) or values.get("division") != _FORMAT:
        raise RunFolderError(f"{name} in {place} cannot be read, or was written by a newer batchgen; restore it")
    if bound == shards:
        return
    if not is_merged(bound) or found is None or place.replace(name, content, found.version) is None:
        raise RunFolderError(
            f"{run} was divided into {bound} shards when it was started first. With another number, items would be in"
            f" other shards and bought again: go on with --shard I/{bound}, and merge the shards before you divide anew"
        )
