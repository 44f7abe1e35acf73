"""Kills merges at each of their steps, and says what was wrong then: `python killed_merges.py FOLDER EVERY [--copy]`.

In FOLDER lie run folders `part-*`. For each step, they are copied, and a child process merges them and is killed before
it; then it is checked that nothing could be bought twice, and the merge is repeated. A step is a call that makes
something durable, or known by a name.
"""

import errno
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.folders.merging import content_of, ledger_of, merged

from batchgen.core.errors import RunFolderError
from batchgen.journal import FILE_NAME
from batchgen.journal.merging.marks import MARK_NAME
from batchgen.ledger.balance.books import check_books
from batchgen.session.run_folder import open_run_folder

STEPS = ("fsync", "fdatasync", "link", "rename", "replace", "unlink", "mkdir", "rmdir")
EVERYTHING_DONE = 0


def killing(step: int) -> None:
    """Let this process be killed before so many steps."""
    left = step

    def before(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **more)

        return counted

    for name in STEPS:
        setattr(os, name, before(getattr(os, name)))


def no_links(*_: Any) -> NoReturn:
    raise OSError(errno.EXDEV, "another disk")


def merge_in_child(folders: list[Path], into: Path, step: int | None, *, copy: bool) -> bool:
    """Return whether a child that merges has come to its end."""
    child = os.fork()
    if child == 0:
        if copy:
            os.link = no_links
        if step is not None:
            killing(step)
        merged(folders, into)
        os._exit(EVERYTHING_DONE)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    assert os.waitstatus_to_exitcode(status) == EVERYTHING_DONE
    return True


def usable(folder: Path) -> bool:
    """Whether a run could begin in a folder, or go on."""
    try:
        with open_run_folder(folder, create=True):
            return True
    except RunFolderError:
        return False


def books_of(folder: Path) -> dict[str, bytes]:
    """What a merge leaves as it is."""
    return {name: content for name, content in content_of(folder).items() if MARK_NAME not in name and name != ".lock"}


def check_killed(folders: list[Path], into: Path) -> None:
    """Nothing that a part knows can be bought in two places, and nothing that was bought can be bought anew."""
    whole = (into / FILE_NAME).exists() and len(ledger_of(into)) == sum(len(ledger_of(f)) for f in folders)
    if into.exists() and not (into / FILE_NAME).exists():  # what a run would make there is no part of what follows
        trial = Path(shutil.copytree(into, into.with_name("trial"), symlinks=True))
        merged_usable = usable(trial)
        shutil.rmtree(trial)
    else:
        merged_usable = into.exists() and usable(into)
    parts_usable = [usable(folder) for folder in folders]
    if not all(parts_usable):
        assert whole or not merged_usable, "a part is closed, and a run without its purchases could begin"
    if whole and merged_usable:
        assert not any(parts_usable), "a part and the merged run could both go on"


def main(place: Path, every: int, *, copy: bool) -> None:
    """Kill at one step after the other, or at each so many, until one is too far for a merge to get there."""
    parts = sorted(place.glob("part-*"))
    expected = sorted(row for part in parts for row in ledger_of(part))
    contents = {name: content for part in parts for name, content in content_of(part / "files").items()}
    step = 1
    while True:
        here = place / f"at-{step}"
        folders = [Path(shutil.copytree(part, here / part.name)) for part in parts]
        into = here / "all"
        finished = merge_in_child(folders, into, step, copy=copy)
        assert [books_of(folder) for folder in folders] == [books_of(part) for part in parts], step
        check_killed(folders, into)
        assert merge_in_child(folders, into, None, copy=copy)
        assert sorted(ledger_of(into)) == expected, step
        assert content_of(into / "files") == contents, step
        assert check_books(into).balances, step
        assert usable(into) and not any(map(usable, folders)), step
        assert not (into / ".merge").exists(), step
        shutil.rmtree(here)
        if finished:
            print(f"{step - 1} steps")
            return
        step += every


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), copy="--copy" in sys.argv)
