"""What every store of outputs has to do: the contract of the port, for each of its implementations."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from support.storage.objects import bucket

from batchgen.core.errors import DiskError
from batchgen.store import Address, Known, LocalDisk, ObjectStorage, OutputStore, Staged, StagedReplacedError

Make = Callable[[Path], OutputStore]
OUTSIDE = ("../x", "/x", "files/../../x", "files//x", "files/./x", "", "files/a\0b")


@pytest.fixture(params=["disk", "memory", "memory in parts", "s3", "s3 in parts"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a store: on the disk, and as objects, of which each is either put at once or in parts."""
    kind, _, parts = request.param.partition(" ")
    single = 0 if parts else 1 << 20
    if kind == "disk":
        yield LocalDisk
    elif kind == "memory":
        memory = MemoryStore()
        yield lambda folder: ObjectStorage(Address("s3", "memory"), folder, store=lambda _: memory, single_put=single)
    else:
        with bucket() as place:
            yield lambda folder: ObjectStorage(place.below("runs/spring"), folder, single_put=single)


def publish(staged: Staged, name: str) -> bool:
    staged.file.seek(0)
    return staged.publish(name, hashlib.sha256(staged.file.read()).hexdigest())


def put(store: OutputStore, stem: str, content: bytes) -> str:
    name = f"files/{stem}.png"
    staged = store.stage(stem)
    staged.write(content)
    staged.sync()
    assert publish(staged, name)
    store.sync(name)
    return name


def content_of(store: OutputStore, name: str) -> bytes:
    with store.open(name) as file:
        return file.read()


def test_an_output_has_its_name_once_it_is_published(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    staged = store.stage("a/mug")
    staged.write(b"one ")
    staged.write(b"two")
    assert store.length("files/a/mug.png") is None
    staged.sync()
    staged.file.seek(0)
    assert staged.file.read() == b"one two", "it can be inspected before it counts"
    assert publish(staged, "files/a/mug.png")
    assert (store.length("files/a/mug.png"), content_of(store, "files/a/mug.png")) == (7, b"one two")


def test_nothing_is_overwritten(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    name = put(store, "mug", b"first")
    staged = store.stage("mug")
    staged.write(b"second")
    staged.sync()
    assert not publish(staged, name)
    assert content_of(store, name) == b"first"
    store.move([(name, "superseded/mug.png")])
    assert publish(staged, name)
    assert content_of(store, name) == b"second"
    assert content_of(store, "superseded/mug.png") == b"first"


def test_what_is_discarded_leaves_nothing(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    staged = store.stage("mug")
    staged.write(b"half")
    staged.discard()
    assert store.length("files/mug.png") is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    put(store, "mug", b"whole")


def test_the_later_of_two_downloads_of_one_output_counts(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    early = store.stage("mug")
    early.write(b"early")
    late = store.stage("mug")
    late.write(b"late")
    with pytest.raises(StagedReplacedError):
        early.publish("files/mug.png", "")
    early.discard()
    late.sync()
    assert publish(late, "files/mug.png")
    assert content_of(store, "files/mug.png") == b"late"


def test_moves_are_done_in_turn_and_pass_over_what_was_removed(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    one, two = put(store, "one", b"1"), put(store, "two", b"2")
    store.move([(one, "files/.between"), (two, one), ("files/.between", two), ("files/none.png", "files/some.png")])
    assert (content_of(store, one), content_of(store, two)) == (b"2", b"1")
    assert store.length("files/some.png") is None


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_store(make: Make, tmp_path: Path, name: str) -> None:
    store = make(tmp_path)
    inside = put(store, "mug", b"1")
    staged = store.stage("jug")
    for leads_out in (
        lambda: store.open(name), lambda: store.length(name), lambda: store.sync(name), lambda: store.known(name),
        lambda: staged.publish(name, ""), lambda: store.move([(inside, name)]), lambda: store.move([(name, inside)]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="not a path below"):
            leads_out()
    staged.discard()
    with pytest.raises(ValueError, match="not a path below"):
        store.stage(name)


def test_an_output_that_is_not_there_is_told_apart_from_one_that_cannot_be_looked_at(
    make: Make, tmp_path: Path
) -> None:
    store = make(tmp_path)
    put(store, "mug", b"1")
    assert store.length("files/jug.png") is None
    assert store.length("files/mug.png/jug.png") is None
    with pytest.raises(FileNotFoundError):
        store.open("files/jug.png")


def test_what_is_known_of_an_output_without_reading_it(make: Make, tmp_path: Path) -> None:
    store = make(tmp_path)
    name = put(store, "mug", b"12345")
    assert store.known(name) == Known(5, hashlib.sha256(b"12345").hexdigest() if store.remote else None)
    assert store.known("files/jug.png") is None
    store.move([(name, "superseded/mug.png")])
    assert store.known("superseded/mug.png") == Known(5, hashlib.sha256(b"12345").hexdigest() if store.remote else None)


def test_an_output_on_the_disk_may_be_one_that_cannot_be_looked_at(tmp_path: Path) -> None:
    store = LocalDisk(tmp_path)
    put(store, "mug", b"1")
    (tmp_path / "files" / "loop.png").symlink_to("loop.png")
    with pytest.raises(DiskError):
        store.length("files/loop.png")


def test_all_files_on_the_disk_are_listed_also_staged_ones(tmp_path: Path) -> None:
    store = LocalDisk(tmp_path)
    assert list(store.names()) == []
    put(store, "mug", b"1")
    store.move([(put(store, "cup", b"2"), "superseded/cup.png")])
    put(store, "a/b/jug", b"3")
    staged = store.stage("a/mug")
    staged.write(b"half")
    assert sorted(store.names()) == ["files/a/b/jug.png", "files/a/mug.part", "files/mug.png"]
    staged.discard()
    assert sorted(store.names()) == ["files/a/b/jug.png", "files/mug.png"]


def test_published_and_moved_outputs_are_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync

    def noted(handle: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{handle}").readlink(), tmp_path))
        sync(handle)

    store = LocalDisk(tmp_path)
    monkeypatch.setattr(os, "fsync", noted)
    name = put(store, "a/mug", b"1")
    assert synced == [".", "files", "files/a/mug.part", "files/a"], "the folders that were made, the bytes, the name"
    synced.clear()
    store.move([(name, "superseded/a/mug.png")])
    assert sorted(synced) == ["files/a", "superseded/a"]
