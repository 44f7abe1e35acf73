"""The place that a run folder's outputs are bound to, and whose place that is.

A small object there names the run folder. It is made by a conditional request before anything is bought, so that two
run folders never share a place, and so that missing rights show in time.
"""

import json

from batchgen.core.errors import RunFolderError, StoreError
from batchgen.core.text import plural, printable
from batchgen.journal import Journal
from batchgen.journal.queries.purchases import run_id_of
from batchgen.store import OUTPUTS, Address, ObjectStorage

MARK = "run.json"
"""The object that says which run folder the outputs beside it belong to."""


def check_place(storage: ObjectStorage) -> None:
    """Look whether a new run folder may have the place, before anybody is asked anything.

    Raises RunFolderError where it is another's, StoreError where it cannot be used, UsageError.
    """
    if storage.read(MARK) is not None:
        raise _taken(storage)


def bind_outputs(journal: Journal, address: Address | None) -> None:
    """Bind a run folder to the place of its outputs (None: the folder itself), or check that it fits.

    Raises RunFolderError where outputs would come to lie in two places.
    """
    bound, wanted = journal.facts().get(OUTPUTS, ""), "" if address is None else str(address)
    if bound == wanted:
        return
    if bought := journal.purchase_count():
        here = "the folder itself"
        advice = f"use --output {printable(bound.rpartition('/')[0], 300)}" if bound else "leave out --output"
        raise RunFolderError(
            f"this run folder holds {plural(bought, 'purchase')} whose outputs are in {printable(bound, 300) or here},"
            f" not in {wanted or here}; {advice}, or another --run NAME"
        )
    with journal.transaction():
        journal.note(**{OUTPUTS: wanted})


def refuse_other_owner(storage: ObjectStorage, run_id: str | None) -> None:
    """Raise RunFolderError where a place is that of another run folder than this one (None: of any). StoreError."""
    held = storage.read(MARK)
    if held is not None and (run_id is None or _run_id(held) != run_id):
        raise _taken(storage)


def claim(storage: ObjectStorage, journal: Journal) -> None:
    """Make sure that the place of the outputs is this run folder's own.

    Raises RunFolderError where it is another's, StoreError.
    """
    run_id, name = run_id_of(journal.db), journal.facts().get("run", "")
    held = storage.read(MARK)
    if held is None:
        mark = json.dumps({"format_version": 1, "run": name, "run_id": run_id}) + "\n"
        storage.put_new(MARK, mark.encode())
        held = storage.read(MARK)  # also where the store ignores the condition, one of two is told
    if held is None:
        raise StoreError(f"{storage.address}/{MARK} was written, and is not there")
    if _run_id(held) != run_id:
        raise _taken(storage)


def _taken(storage: ObjectStorage) -> RunFolderError:
    return RunFolderError(
        f"{storage.address} holds the outputs of another run folder, so nothing was bought: continue that one (--state"
        " names the folder that its run folder is in), or use another --run NAME or --output"
    )


def _run_id(mark: bytes) -> str | None:
    try:
        content = json.loads(mark)
    except ValueError:
        return None
    return content.get("run_id") if isinstance(content, dict) else None
