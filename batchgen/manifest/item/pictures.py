"""Local pictures in a manifest: their files are checked, and their SHA-256 stands for them in the request."""

import hashlib
import os
from pathlib import Path
from stat import S_ISREG
from typing import Any

from batchgen.catalog import BodyProblem, Model
from batchgen.core.text import printable
from batchgen.item_table import ItemTable
from batchgen.item_table.pictures import Picture, looks_like_stand_in
from batchgen.media import Damaged, inspect_bytes
from batchgen.store.pictures import MOST_BYTES, is_public_place

_FORMATS = ("bmp", "jpg", "png", "webp")
_NOTHING = Picture("0" * 64, "png")
"""Stands for a picture with a fault, which is told, while the rest of its request is checked."""


class PictureFaultError(Exception):
    """A file that cannot be sent; the text says why."""


class LocalPictures:
    """The local pictures of one manifest."""

    def __init__(self, assets: str, folder: Path, table: ItemTable) -> None:
        self._folder = folder
        self._table = table
        self._public = is_public_place(assets)

    def take(self, model: Model, body: dict[str, Any]) -> tuple[dict[str, Any], tuple[BodyProblem, ...]]:
        """Return a body with stand-ins for local pictures, and what is wrong with these; each file is read once."""
        replaced: dict[str, Any] = {}
        problems: list[BodyProblem] = []
        for parameter in model.parameters:
            value = body.get(parameter.name)
            if parameter.type == "url" and value is not None:
                replaced[parameter.name] = self._taken((parameter.name,), value, problems)
            elif parameter.type == "urls" and type(value) is list:
                replaced[parameter.name] = [
                    self._taken((parameter.name, n), entry, problems) for n, entry in enumerate(value)
                ]
        return ({**body, **replaced} if replaced else body), tuple(problems)

    def _taken(self, place: tuple[str | int, ...], value: Any, problems: list[BodyProblem]) -> Any:
        if not isinstance(value, str):
            return value
        shown = str(place[0]) if len(place) == 1 else f"{place[0]}[{place[1]}]"
        if looks_like_stand_in(value):
            problems.append(BodyProblem(place, f"`{shown}` is what stands for a local picture; write the file's path"))
            return value
        if not is_local(value):
            return value
        try:
            return self._picture(value).stand_in
        except PictureFaultError as error:
            problems.append(BodyProblem(place, f"`{shown}`: {error}"))
            return _NOTHING.stand_in

    def _picture(self, text: str) -> Picture:
        path, shown = self._folder / text, printable(text, 200)
        if self._public and (Path(text).is_absolute() or os.path.normpath(text).startswith("..")):
            raise PictureFaultError(f"{shown} must lie in the manifest's folder, whose files `run.assets` has")
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            raise PictureFaultError(f"there is no picture {shown}") from error
        if not S_ISREG(status.st_mode):
            raise PictureFaultError(f"{shown} is no file")
        if status.st_size > MOST_BYTES:
            raise PictureFaultError(f"{shown} has {status.st_size / 1e6:.1f} MB; the API takes at most 10 MB")
        state = f"{status.st_size} {status.st_mtime_ns}"
        known = self._table.picture(str(path), state)
        if known is None:
            known = _looked_at(path, shown)
            self._table.add_picture(str(path), state, *known)
        return Picture(*known)


def is_local(value: str) -> bool:
    """Return whether a value is the path of a local file, and not an address, a data URI or empty."""
    return bool(value.strip()) and ":" not in value.partition("/")[0]


def _looked_at(path: Path, shown: str) -> tuple[str, str]:
    """Return the SHA-256 and the extension of a picture."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PictureFaultError(f"{shown} cannot be read: {error.strerror}") from error
    try:
        media = inspect_bytes(content)
    except Damaged as error:
        raise PictureFaultError(f"{shown} {printable(str(error), 200)}") from error
    if media.extension not in _FORMATS:
        raise PictureFaultError(f"{shown} is {media.extension.upper()}; the API takes JPEG, PNG, WebP and BMP")
    return hashlib.sha256(content).hexdigest(), media.extension
