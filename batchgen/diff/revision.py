"""A manifest as it was in a revision of its git repository, with the rows and included files of that revision."""

import os
import posixpath
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import IO

from batchgen.core.errors import ManifestError, UsageError
from batchgen.core.files import disk_errors
from batchgen.core.text import printable
from batchgen.manifest import named_files

_MOST = 1_000
"""Files of one manifest."""
_WILD = frozenset("*?[")
_LFS = b"version https://git-lfs.github.com/spec/"
# A partial clone would fetch what it lacks; nothing is asked, and nothing in the repository is written.
_OFFLINE = {
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
}


@contextmanager
def checked_out(text: str) -> Iterator[Path]:
    """Give the manifest that `text` means, for as long as the block lasts: a file, or `REV:PATH` in git.

    PATH is relative to the root of the repository, or with `./` to the working directory. Only what the manifest names
    is taken out, into a scratch folder. Raises UsageError where there is no such revision or file; a ManifestError from
    the block names places in the revision.
    """
    if Path(text).exists() or ":" not in text:
        yield Path(text)
        return
    revision, _, path = text.partition(":")
    if not revision or revision.startswith("-") or not path:
        raise UsageError(f"{printable(text)} is neither a file nor REV:PATH in git")
    path = _from_root(path)
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        tree = _Tree(revision, Path(scratch))
        manifest = tree.take(path)
        if manifest is None:
            raise UsageError(f"there is no file {printable(path)} in the revision {printable(revision)} of git")
        tree.take_named_by(path)
        try:
            yield manifest
        except ManifestError as error:
            places = [replace(problem, file=tree.shown(problem.file)) for problem in error.problems]
            raise ManifestError(places, more=error.more) from error


def _from_root(path: str) -> str:
    """Return a path from the root of the repository."""
    if path.startswith(("./", "../")):
        path = posixpath.join(_git("rev-parse", "--show-prefix").decode().strip(), path)
    path = posixpath.normpath(path)
    if path.startswith(("../", "/")):
        raise UsageError(f"{printable(path)} is outside of the git repository")
    return path


class _Tree:
    """The files of one revision that are taken out."""

    def __init__(self, revision: str, folder: Path) -> None:
        self._revision = revision
        self._folder = folder
        self._taken: set[str] = set()
        found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", what=revision)
        # All files are those of one commit, also if a branch moves on meanwhile.
        self._commit = found.decode().strip()

    def shown(self, file: str) -> str:
        """Return a file of the scratch folder as the place in the revision that it stands for."""
        path = Path(file)
        inside = path.is_relative_to(self._folder)
        return f"{self._revision}:{path.relative_to(self._folder).as_posix()}" if inside else file

    def take(self, path: str) -> Path | None:
        """Write a file of the revision into the scratch folder; None if there is none."""
        if len(self._taken) >= _MOST:
            raise UsageError(f"the manifest names more than {_MOST:,} files")
        blob = self._blob(path)
        if blob is None:
            return None
        self._taken.add(path)
        target = self._folder / path
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                _git("cat-file", "blob", blob, out=out)
        with target.open("rb") as file:
            if file.read(len(_LFS)) == _LFS:
                raise UsageError(f"{printable(path)} is in Git LFS, so git holds only a pointer to its content")
        return target

    def _blob(self, path: str) -> str | None:
        """Return the id of a file's content; None if there is no such file. Symbolic links are followed, inside."""
        if "\n" in path:
            return None
        asked = f"{self._commit}:{path}\n".encode(errors="surrogateescape")
        found = _git("cat-file", "--batch-check", "--follow-symlinks", given=asked).decode(errors="replace").split()
        if found[0] == "symlink":
            raise UsageError(f"{printable(path)} is a link to a place outside of the git repository")
        return found[0] if found[1:2] == ["blob"] else None

    def take_named_by(self, path: str) -> None:
        """Take out what a manifest names, and what the files that it includes name."""
        named = named_files(self._folder / path)
        for name in (*named.rows, *named.includes):
            inner = self._inside(path, name)
            if inner in self._taken or self.take(inner) is None:
                continue  # that there is no such file, loading the manifest says
            if name in named.includes:
                self.take_named_by(inner)
        for pattern in named.bought:
            self._take_matching(self._inside(path, pattern))

    def _inside(self, path: str, name: str) -> str:
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
        if name.startswith("/") or joined.startswith("../"):
            raise UsageError(f"{printable(name)} is outside of the git repository")
        return joined

    def _take_matching(self, pattern: str) -> None:
        """Take out the files that a pattern, from the root, may mean: which of them it does, loading decides."""
        folder = "/".join(takewhile(lambda part: not _WILD.intersection(part), pattern.split("/")))
        listed = _git("ls-tree", "-r", "-z", "--name-only", "--full-tree", self._commit, "--", folder or ".")
        fits = posixpath.basename(pattern) if "**" in pattern else f"/{pattern}"
        for name in listed.decode(errors="surrogateescape").split("\0"):
            if name and name not in self._taken and PurePosixPath(f"/{name}").match(fits):
                self.take(name)


def _git(*arguments: str, what: str = "", given: bytes = b"", out: IO[bytes] | None = None) -> bytes:
    """Return what git prints, or have it written to `out`; `what` is the revision that is looked for."""
    git = shutil.which("git")
    if git is None:
        raise UsageError("git is not installed; REV:PATH needs it")
    result = subprocess.run(  # noqa: S603 - no shell, and no option: see `checked_out`
        [git, *arguments],
        input=given,
        stdout=out or subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **_OFFLINE},
        check=False,
    )
    if result.returncode:
        reason = printable(result.stderr.decode(errors="replace").strip(), 200)
        named = f"there is no revision {printable(what)} here" if what else f"git {arguments[0]} failed"
        raise UsageError(f"{named}{f': {reason}' if reason else ''}")
    return result.stdout or b""
