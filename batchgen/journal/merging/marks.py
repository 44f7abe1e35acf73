"""The marks of merging: a run folder that went into another one is closed, and one that is half merged is not used.

What a closed folder holds can be bought, collected and settled in the merged folder only: two folders that both know
the same pending items would buy them twice.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from batchgen.core.errors import RunFolderError
from batchgen.core.files import staged_text, sync_folder
from batchgen.core.text import printable, stamp

MARK_NAME = "merged.json"
"""In a closed run folder: where it went."""
SCRATCH = ".merge"
"""In a merged run folder: what is being made of it."""
_CLOSING = "closing.json"
_FACT = "merged"


def merged_into(folder: Path) -> Path | None:
    """Return the run folder that `folder` was merged into, absolute; None if it was not. Raises RunFolderError."""
    path = folder / MARK_NAME
    try:
        return Path(json.loads(path.read_text(encoding="utf-8"))["into"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{path} cannot be read, so it is not known which folder goes on with this run; restore it from a backup"
        ) from error


def close_folder(folder: Path, into: Path, now: datetime) -> None:
    """Mark a run folder as merged into another one, durably, unless it is marked so already. Raises DiskError."""
    if merged_into(folder) != into:
        with staged_text(folder / MARK_NAME) as out:
            out.write(json.dumps({"into": str(into), "at": stamp(now)}) + "\n")


def refuse_closed(folder: Path) -> None:
    """Raise RunFolderError where a run folder was merged into another one, or where a merge into it is half done.

    To be called by the folder's owner: marks appear under its lock.
    """
    if (into := merged_into(folder)) is not None:
        raise RunFolderError(
            f"{folder} was merged into {printable(str(into), 300)}, which goes on with its items and jobs: use that"
            f" folder. If the merged folder is gone for good, remove {MARK_NAME} to use this one again"
        )
    if sources := half_merged(folder):
        raise RunFolderError(
            f"a merge into {folder} was interrupted: repeat `batchgen merge"
            f" {' '.join(printable(str(source), 300) for source in sources)} --into {folder}`"
        )


def begin_closing(into: Path, sources: Iterable[Path]) -> None:
    """Note, durably, that these folders are about to be closed: until `end_closing`, nobody may use `into`."""
    with staged_text(into / SCRATCH / _CLOSING) as out:
        out.write(json.dumps([str(source) for source in sources]) + "\n")
    sync_folder(into)


def end_closing(into: Path) -> None:
    """Note, durably, that a merged folder is whole."""
    (into / SCRATCH / _CLOSING).unlink(missing_ok=True)
    if (into / SCRATCH).is_dir():
        sync_folder(into / SCRATCH)


def half_merged(folder: Path) -> list[Path]:
    """Return the folders that an interrupted merge was closing; none if there was none. Raises RunFolderError."""
    path = folder / SCRATCH / _CLOSING
    try:
        return [Path(source) for source in json.loads(path.read_text(encoding="utf-8"))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{path} of an interrupted merge cannot be read; restore it from a backup") from error


def is_merged_into(folder: Path, others: Collection[Path]) -> bool:
    """Return whether a run folder was merged into one of these (resolved paths), at first or second hand."""
    seen = {folder.resolve()}
    while (into := merged_into(folder)) is not None:
        folder = into.resolve()
        if folder in others or folder in seen:
            return folder in others
        seen.add(folder)
    return False


# ---- what went into a merged folder --------------------------------------------------------------------------------

Records = Mapping[str, str]
"""By the random name of a run folder: what its records looked like when they were merged."""


def merged_runs(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the `Records` of the run folders that went into the one with these facts, at first or second hand."""
    try:
        found = json.loads(facts.get(_FACT, "{}"))
        return {str(run_id): str(looks) for run_id, looks in found.items()}
    except (ValueError, AttributeError):
        return {}  # a newer release may note it otherwise; then the folders are compared item by item


def merged_fact(records: Records) -> dict[str, str]:
    """Return what a merged journal has to note."""
    return {_FACT: json.dumps(dict(records), sort_keys=True)}
