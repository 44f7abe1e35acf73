"""What every place for leases promises: of several writers one wins, and a log is what was appended."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.storage.objects import bucket

from batchgen.core.errors import DiskError, RunFolderError, StoreError
from batchgen.lease import LeasePlace, MemoryPlace, SharedFolder
from batchgen.lease.objects import ObjectPlace
from batchgen.store.remote import Address

Opened = Callable[[], LeasePlace]
"""Opens the place once more, as another process would."""


@pytest.fixture(params=["memory", "folder", "objects"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    if request.param == "memory":
        place = MemoryPlace()
        yield lambda: place
    elif request.param == "folder":
        yield lambda: SharedFolder(tmp_path / "leases")
    else:
        with bucket() as address:
            yield lambda: ObjectPlace(address.below("leases"))


def test_a_record_is_made_once(opened: Opened) -> None:
    assert opened().read("spring/0/lease") is None
    version = opened().create("spring/0/lease", b"first")
    assert version is not None
    assert opened().create("spring/0/lease", b"second") is None
    found = opened().read("spring/0/lease")
    assert found is not None
    assert (found.content, found.version) == (b"first", version)
    assert opened().read("spring/1/lease") is None


def test_a_record_is_replaced_only_by_who_knows_its_newest_version(opened: Opened) -> None:
    first = opened().create("spring/0/lease", b"1")
    assert first is not None
    second = opened().replace("spring/0/lease", b"2", first)
    assert second not in (None, first)
    assert opened().replace("spring/0/lease", b"3", first) is None
    found = opened().read("spring/0/lease")
    assert found is not None
    assert (found.content, found.version) == (b"2", second)


@pytest.mark.parametrize("create", [True, False])
def test_of_many_writers_one_wins(opened: Opened, *, create: bool) -> None:
    first = None if create else opened().create("x/lease", b"before")
    won: list[int] = []
    ready = threading.Barrier(8)

    def write(number: int) -> None:
        place, content = opened(), f"writer {number}".encode()
        ready.wait()
        made = place.create("x/lease", content) if first is None else place.replace("x/lease", content, first)
        if made is not None:
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = opened().read("x/lease")
    assert found is not None
    assert [f"writer {number}".encode() for number in won] == [found.content]


def test_a_log_is_what_was_appended(opened: Opened) -> None:
    assert opened().read_log("spring/0/receipts-1") is None
    log = opened().begin_log("spring/0/receipts-1")
    pieces = [f"line {number}\n".encode() * 100 for number in range(40)]
    for number, piece in enumerate(pieces):
        log.append(piece)
        if number in (0, 20):
            assert b"".join(opened().read_log("spring/0/receipts-1") or ()) == b"".join(pieces[: number + 1])
    log.close()
    assert b"".join(opened().read_log("spring/0/receipts-1") or ()) == b"".join(pieces)
    assert opened().read_log("spring/0/receipts-10") is None


def test_a_log_has_one_writer(opened: Opened) -> None:
    opened().begin_log("spring/0/receipts-1").append(b"mine\n")
    with pytest.raises(RunFolderError, match="exists already: another process writes it"):
        opened().begin_log("spring/0/receipts-1")


# ---- a shared folder ---------------------------------------------------------------------------------------------


def test_a_writer_that_slept_through_many_versions_wins_nothing(tmp_path: Path) -> None:
    """Its number was removed, and is free again."""
    place = SharedFolder(tmp_path)
    version = old = place.create("lease", b"0")
    for number in range(1, 150):
        assert version is not None
        version = place.replace("lease", f"{number}".encode(), version)
    assert old is not None
    assert len(list((tmp_path / "lease").iterdir())) == 100
    assert place.replace("lease", b"from long ago", old) is None
    assert place.create("lease", b"from longer ago") is None
    found = place.read("lease")
    assert found is not None
    assert (found.content, found.version) == (b"149", version)
    assert len(list((tmp_path / "lease").iterdir())) == 100


def test_a_link_whose_answer_was_lost_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over NFS, a request that is sent again may be answered as if another had made the file."""
    link = os.link

    def lost(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(target)

    monkeypatch.setattr("batchgen.lease.folder.os.link", lost)
    assert SharedFolder(tmp_path).create("lease", b"ours") == "1"


def test_a_folder_that_cannot_be_written_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot write"):
        SharedFolder(tmp_path / "file").create("lease", b"")


# ---- an object store ---------------------------------------------------------------------------------------------


def test_a_log_with_a_hole_is_not_read(tmp_path: Path) -> None:
    import obstore

    with bucket() as address:
        place = ObjectPlace(address)
        log = place.begin_log("0/receipts-1")
        for number in range(3):
            log.append(f"{number}\n".encode())
        obstore.delete(place._store, "0/receipts-1/0000000001")
        with pytest.raises(RunFolderError, match="lacks some of its parts"):
            place.read_log("0/receipts-1")


def test_a_part_that_was_written_although_its_answer_was_lost_is_written_once() -> None:
    with bucket() as address:
        place = ObjectPlace(address)
        log = place.begin_log("0/receipts-1")
        place.create("0/receipts-1/0000000000", b"same\n")  # the first try, whose answer did not come
        log.append(b"same\n")
        log.append(b"next\n")
        assert b"".join(place.read_log("0/receipts-1") or ()) == b"same\nnext\n"


def test_a_bucket_that_is_not_there_is_an_error_of_the_store() -> None:
    with bucket() as address, pytest.raises(StoreError):
        ObjectPlace(Address("s3", f"{address.bucket}-none")).create("lease", b"")
