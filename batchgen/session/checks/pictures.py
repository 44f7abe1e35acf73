"""Whether local pictures can be sent, found out before any money moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from batchgen.core.errors import UsageError
from batchgen.item_table.pictures import picture_file, some_picture
from batchgen.plan import Plan
from batchgen.scheduler.ports import PictureSource
from batchgen.session.prepare import PreparedRun
from batchgen.store.pictures import PictureChangedError, PicturePlace, picture_place
from batchgen.store.upload_threads import UploadThreads

_AT_ONCE = 4
_PATIENCE = 5.0
"""Seconds for which the end of a run waits for uploads that are under way."""


class _Pretend:
    """The addresses of a simulated run, whose simulator fetches nothing: nothing is uploaded."""

    def address(self, name: str, _file: Path, /) -> str:
        """Return an address that leads nowhere."""
        return f"https://pictures.example/{name}"


def place_of_pictures(prepared: PreparedRun, plan: Plan, *, simulated: bool) -> tuple[Path, PicturePlace] | None:
    """Return the item table and where the pictures that it names get their addresses; None if it names none.

    If anything is to be bought, one picture is brought there first. Raises UsageError, StoreError: then the bucket or
    the credentials are missing, and nothing was bought.
    """
    manifest, item_table = prepared.manifest, prepared.item_table
    if manifest.assets is None:
        return None
    if simulated:
        return item_table, _Pretend()
    place = picture_place(manifest.assets, manifest.source.parent)
    picture = some_picture(item_table)
    if plan.estimated and picture is not None and (file := picture_file(item_table, picture)) is not None:
        try:
            place.address(picture.name, file)
        except PictureChangedError as error:
            raise UsageError(str(error)) from error
    return item_table, place


@asynccontextmanager
async def pictures_from(source: tuple[Path, PicturePlace] | None) -> AsyncIterator[PictureSource | None]:
    """Give what the scheduler gets addresses of pictures from, for as long as the block lasts."""
    if source is None:
        yield None
        return
    async with UploadThreads(_AT_ONCE, "pictures", patience=_PATIENCE) as threads:
        yield PictureSource(*source, threads)
