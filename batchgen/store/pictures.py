"""Where local pictures get the addresses that the provider fetches them by: an object store, or a public place.

In an object store a picture is named by its SHA-256, and made by a conditional request: an object that is there has
these bytes, so it is never uploaded twice.
"""

import hashlib
import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

from batchgen.core.errors import StoreError, UsageError
from batchgen.core.text import printable
from batchgen.store.content_types import CONTENT_TYPES
from batchgen.store.remote import Address, connect, is_address, store_errors

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import AzureStore, GCSStore, S3Store

MOST_BYTES = 10_000_000
"""The API takes pictures of at most 10 MB."""
_VALID = timedelta(hours=24)
"""How long an address works: the provider may fetch a picture long after it has accepted the request."""
_LOCKS = 64


class PictureChangedError(Exception):
    """A picture's file is no longer what it was when the manifest was read; the text says what is wrong with it."""


class PicturePlace(Protocol):
    """Gives pictures their addresses. Called from several threads."""

    def address(self, name: str, file: Path, /) -> str:
        """Return an address of the picture `name` (`SHA256.EXTENSION`), which the file has; upload it if need be.

        Raises PictureChangedError, StoreError, UsageError.
        """
        ...


@dataclass(frozen=True, slots=True)
class PublicPlace:
    """A public address below which the manifest's folder lies already; nothing is uploaded."""

    base: str
    """Without a slash at the end."""
    folder: Path

    def address(self, _name: str, file: Path, /) -> str:
        """See `PicturePlace`."""
        relative = os.path.relpath(file, self.folder)
        return f"{self.base}/{quote(Path(relative).as_posix())}"


class Bucket:
    """A place in an object store, from which pictures are handed out by signed addresses."""

    def __init__(self, place: Address) -> None:
        self._place = place
        self._store: S3Store | GCSStore | AzureStore = connect(place)
        self._present: set[bytes] = set()
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def address(self, name: str, file: Path, /) -> str:
        """See `PicturePlace`."""
        import obstore

        sha256 = bytes.fromhex(name.partition(".")[0])
        with self._locks[sha256[0] % _LOCKS]:
            if sha256 not in self._present:
                self._upload(name, file)
                self._present.add(sha256)
        with store_errors(str(self._place)):
            address: str = obstore.sign(self._store, "GET", name, _VALID)
        return address

    def _upload(self, name: str, file: Path) -> None:
        import obstore

        try:
            with store_errors(str(self._place)):
                obstore.head(self._store, name)
        except FileNotFoundError:
            self._put(name, _content(name, file))

    def _put(self, name: str, content: bytes) -> None:
        import obstore

        attributes: Attributes = {"Content-Type": CONTENT_TYPES[name.partition(".")[2]]}
        try:
            with store_errors(str(self._place)):
                obstore.put(
                    self._store, name, content, mode="create", use_multipart=False, attributes=attributes
                )  # fmt: skip
        except FileNotFoundError:
            raise StoreError(
                f"{self._place}: the store does not know it: make the bucket, or check the address"
            ) from None
        except obstore.exceptions.AlreadyExistsError:
            pass  # another run was faster


def _content(name: str, file: Path) -> bytes:
    """Return the bytes of a file, which are those that its name promises: they are read once and sent as they are."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise PictureChangedError(f"{file} cannot be read any more: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != name.partition(".")[0]:
        raise PictureChangedError(f"{file} was changed after the manifest was read: run again to see what it costs now")
    return content


def is_public_place(assets: str) -> bool:
    """Return whether `run.assets` is a place where the pictures are already."""
    return assets.startswith(("https://", "http://"))


def check_assets(assets: str) -> None:
    """Raise UsageError where `run.assets` is no place for pictures."""
    if not is_address(assets):
        raise UsageError(
            f"{printable(assets, 200)} is no address: s3://BUCKET/PREFIX uploads pictures, https://HOST/PATH is where"
            " they are already"
        )
    if not is_public_place(assets):
        Address.parse(assets)
        return
    try:
        parts = urlsplit(assets)
        whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if (
        not whole
        or parts.query
        or parts.fragment
        or parts.username is not None
        or not assets.isascii()
        or " " in assets
    ):
        raise UsageError(f"{printable(assets, 200)} must be an address as https://HOST/PATH, without user, ? and #")


def picture_place(assets: str, folder: Path) -> PicturePlace:
    """Return what `run.assets` of a manifest in a folder stands for. Raises UsageError."""
    check_assets(assets)
    if is_public_place(assets):
        return PublicPlace(assets.rstrip("/"), folder)
    return Bucket(Address.parse(assets))
