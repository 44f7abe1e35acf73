"""Finds the output folder and the run folders in it. Never by the working directory where a manifest is at hand.

A run folder that is not found would be bought again, so whatever makes the place uncertain is refused.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.text import printable
from batchgen.store.remote import Address, is_address

VARIABLE = "BATCHGEN_OUTPUT"
STATE_VARIABLE = "BATCHGEN_STATE"
RUN_MARK = "journal.sqlite3"
"""A folder that holds a file of this name is a run's; `batchgen.journal` writes it."""
_RECEIPTS = "receipts.jsonl"
_FOLDER_NAME = "output"
_SIMULATED = ".simulated"
_RUN_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,63}}([.][0-9]{{1,5}}-of-[0-9]{{1,5}})?({re.escape(_SIMULATED)})?")


def simulated_name(name: str) -> str:
    """Return the name of the run folder in which `--simulate` tries out the run `name`, apart from real purchases."""
    return f"{name}{_SIMULATED}"


def remote_outputs(option: str | None, environment: Mapping[str, str]) -> Address | None:
    """Return the place in an object store below which outputs go, if one is given as output folder.

    `option` (the flag) wins over BATCHGEN_OUTPUT. Raises UsageError for an address that cannot be one.
    """
    chosen = option or environment.get(VARIABLE)
    return Address.parse(chosen) if chosen and is_address(chosen) else None


def output_folder(
    manifest: Path | None, option: str | None, environment: Mapping[str, str], state: str | None = None
) -> Path:
    """Return the folder that holds the run folders, absolute; it need not exist yet.

    `option` (the flag) wins over BATCHGEN_OUTPUT. Where the outputs go to an object store, it is `state` (a flag too),
    which wins over BATCHGEN_STATE. Where nothing is given, the way leads up from the manifest's folder (where its links
    lead to) to the first that has `output` or `.git` in it, and `output/` there is meant; where none has, it is
    `output/` beside the manifest. Without a manifest the search starts at the working directory. Raises UsageError for
    a relative path in a variable, and for an `output` that is no folder.
    """
    chosen = _chosen(option, environment, state)
    if chosen is not None:
        return chosen
    start = manifest.resolve().parent if manifest else Path.cwd()
    for folder in (start, *start.parents):
        output = folder / _FOLDER_NAME
        # In a worktree or a submodule `.git` is a file.
        if os.path.lexists(output) or os.path.lexists(folder / ".git"):
            return _checked(output)
    return start / _FOLDER_NAME


def _chosen(option: str | None, environment: Mapping[str, str], state: str | None) -> Path | None:
    """Return the folder that flags and variables name, if they name one. Raises UsageError."""
    variable = VARIABLE
    if remote_outputs(option, environment) is not None:
        option, variable = state, STATE_VARIABLE
    elif state:
        raise UsageError("--state goes with an object store as --output; else the journal lies beside the outputs")
    chosen = option or environment.get(variable)
    if not chosen:
        return None
    if is_address(chosen):
        raise UsageError(f"{printable(chosen)} cannot hold journals: --state must be a folder on a local disk")
    if option:
        return Path(option).absolute()
    if not Path(chosen).is_absolute():
        raise UsageError(
            f"{variable}={printable(chosen)} means a different folder in each working directory: set it to an"
            f" absolute path, such as {Path(chosen).absolute()}"
        )
    return Path(chosen)


def _checked(output: Path) -> Path:
    if os.path.lexists(output) and not output.is_dir():
        # A disk that is not mounted, mostly. The folder further up would be another one, without what was bought.
        what = "is a link that does not lead to a folder" if output.is_symlink() else "is not a folder"
        raise UsageError(f"{output} {what}: fix it, or give another output folder with --output")
    return output


def run_folder(
    manifest: Path, name: str, option: str | None, environment: Mapping[str, str], state: str | None = None
) -> Path:
    """Return the folder of a manifest's run, which need not exist yet.

    Raises UsageError as `output_folder` does, and where a run of this name lies in an `output` folder further up only:
    an `output` folder or a `.git` that was made since then would hide what was bought.
    """
    output = output_folder(manifest, option, environment, state)
    if _chosen(option, environment, state) is None and not is_run(output / name):
        for folder in output.parent.parents:
            other = folder / _FOLDER_NAME
            if is_run(other / name):
                flag = "--output" if remote_outputs(option, environment) is None else "--state"
                raise UsageError(
                    f"this manifest's output folder is {output}, but {other} holds a run {name}: give {flag}"
                    f" {other} to continue that run, or {flag} {output} to start a new one"
                )
    return output / name


def find_run(text: str, option: str | None, environment: Mapping[str, str], name_of: Callable[[Path], str]) -> Path:
    """Return the run folder that `text` means: its own path, its manifest, or its name within the output folder.

    It is absolute. A manifest or a name of which there is only a simulated run means that one. `name_of` reads a
    manifest's name and raises a UsageError of its own. Raises RunFolderError for a folder that is not a run's,
    UsageError with a suggestion where there is nothing.
    """
    path = Path(text)
    if path.is_file():
        name = name_of(path)
        folder = run_folder(path, name, option, environment)
        for known in (folder, folder.with_name(simulated_name(name))):
            if _holds_run(known):
                return known
        raise UsageError(
            f"{printable(text)} has not been run yet: there is no {folder}; start it with batchgen run"
            f"{_suggestion(name, folder.parent)}"
        )
    if _holds_run(path):
        return path.absolute()
    output = output_folder(None, option, environment)
    for name in (text, simulated_name(text)):
        if _RUN_NAME.fullmatch(name) and _holds_run(output / name):
            return output / name
    if path.is_dir():
        raise RunFolderError(f"{printable(text)} is not a run folder: it has no {RUN_MARK}")
    raise UsageError(
        f"there is no run {printable(text)!r}, neither as a path nor in {output}{_suggestion(path.name, output)}"
    )


def _holds_run(folder: Path) -> bool:
    """Whether a folder is a run's. Raises RunFolderError where only its journal is gone: no other run is meant then."""
    if is_run(folder) or not (folder / _RECEIPTS).is_file():
        return is_run(folder)
    name = printable(str(folder))
    raise RunFolderError(
        f"{name} has {_RECEIPTS} but no {RUN_MARK}: `batchgen recover {name} MANIFEST` rebuilds the journal"
    )


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's."""
    return (folder / RUN_MARK).is_file()


def _suggestion(name: str, output: Path) -> str:
    try:
        runs = [folder.name for folder in output.iterdir() if is_run(folder)]
    except OSError:
        return ""  # no folder, no suggestion
    near = difflib.get_close_matches(name, runs, n=3)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
