"""Finds the output folder and the run folders in it. Never by the working directory where a manifest is at hand."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from batchgen.errors import RunFolderError, UsageError
from batchgen.text import printable

VARIABLE = "BATCHGEN_OUTPUT"
RUN_MARK = "journal.sqlite3"
"""A folder that holds a file of this name is a run's; `batchgen.journal` writes it."""
_FOLDER_NAME = "output"
_RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def output_folder(manifest: Path | None, option: str | None, environment: Mapping[str, str]) -> Path:
    """Return the output folder, which need not exist yet.

    `option` (the flag) wins over BATCHGEN_OUTPUT. Where neither is given, the way leads up from the manifest's own
    folder to the first that has an `output` folder or a `.git` in it, and `output/` there is meant; where none has, it
    is `output/` beside the manifest. Without a manifest the search starts at the working directory.
    """
    chosen = option or environment.get(VARIABLE)
    if chosen:
        return Path(chosen)
    start = (manifest.parent if manifest else Path()).resolve()
    for folder in (start, *start.parents):
        # In a worktree or a submodule `.git` is a file.
        if (folder / _FOLDER_NAME).is_dir() or (folder / ".git").exists():
            return folder / _FOLDER_NAME
    return start / _FOLDER_NAME


def find_run(text: str, option: str | None, environment: Mapping[str, str], name_of: Callable[[Path], str]) -> Path:
    """Return the run folder that `text` means: its own path, its manifest, or its name within the output folder.

    `name_of` reads a manifest's name and raises a UsageError of its own. Raises RunFolderError for a folder that is
    not a run's, UsageError with a suggestion where there is nothing.
    """
    path = Path(text)
    if path.is_file():
        name, output = name_of(path), output_folder(path, option, environment)
        if _is_run(output / name):
            return output / name
        raise UsageError(
            f"{printable(text)} has not been run yet: there is no {output / name}; start it with batchgen run"
            f"{_suggestion(name, output)}"
        )
    if _is_run(path):
        return path
    output = output_folder(None, option, environment)
    if _RUN_NAME.fullmatch(text) and _is_run(output / text):
        return output / text
    if path.is_dir():
        raise RunFolderError(f"{printable(text)} is no run folder: it has no {RUN_MARK}")
    raise UsageError(
        f"there is no run {printable(text)!r}, neither as a path nor in {output}{_suggestion(path.name, output)}"
    )


def _is_run(folder: Path) -> bool:
    return (folder / RUN_MARK).is_file()


def _suggestion(name: str, output: Path) -> str:
    try:
        runs = [folder.name for folder in output.iterdir() if _is_run(folder)]
    except OSError:
        return ""  # no folder, no suggestion
    near = difflib.get_close_matches(name, runs, n=3)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
