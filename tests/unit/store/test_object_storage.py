"""What an object store adds to the contract of a store: uploads that fail, are cut off, or were made before."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import obstore
import pytest
from support.storage.objects import SECRET
from support.storage.proxy import CUT_OFF, Request, Watched, watched_bucket

from batchgen.core.errors import StoreError
from batchgen.store import Known, ObjectStorage, remote
from batchgen.store.object_storage import SpooledFile
from batchgen.store.remote import connect

MIB = 1 << 20
QUICK = {
    "max_retries": 1, "retry_timeout": timedelta(seconds=2), "backoff": {"init_backoff": timedelta(milliseconds=1)},
}  # fmt: skip
BYTES = b"a picture"
SHA = hashlib.sha256(BYTES).hexdigest()
NAME = "files/mug.png"


@pytest.fixture
def watched() -> Iterator[Watched]:
    with watched_bucket() as found, patch.object(remote, "_RETRY", QUICK):
        yield found


def storage(watched: Watched, folder: Path, **options: int) -> ObjectStorage:
    return ObjectStorage(watched.place.below("spring"), folder, pause=0.0, **options)  # type: ignore[arg-type]


def staged(store: ObjectStorage, content: bytes = BYTES, stem: str = "mug") -> SpooledFile:
    one = store.stage(stem)
    one.write(content)
    return one


class Once:
    """Fails the first request that fits."""

    def __init__(self, status: int, method: str, part: str = "") -> None:
        self._fits = lambda request: request.method == method and part in request.path
        self._status = status
        self.failed = False

    def __call__(self, request: Request) -> int | None:
        if self.failed or not self._fits(request):
            return None
        self.failed = True
        return self._status


def objects(watched: Watched) -> list[str]:
    """The names of all objects, as only a test may ask."""
    requests = list(watched.requests)
    found = [found["path"] for page in obstore.list(connect(watched.place)) for found in page]
    watched.requests[:] = requests
    return sorted(found)


def test_an_output_takes_one_conditional_request(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path)
    assert staged(store).publish(NAME, SHA)
    assert [(r.method, r.conditional) for r in watched.requests] == [("PUT", True)]
    assert objects(watched) == [f"spring/{NAME}"]
    found = obstore.get(connect(watched.place), f"spring/{NAME}")
    assert (found.attributes["Content-Type"], found.attributes["sha256"]) == ("image/png", SHA)
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_upload_that_nobody_recorded_is_known_again(watched: Watched, tmp_path: Path) -> None:
    """The process was killed between upload and record: the same bytes come once more."""
    store = storage(watched, tmp_path)
    assert staged(store).publish(NAME, SHA)
    assert staged(store).publish(NAME, SHA)
    other = staged(store, b"another")
    assert not other.publish(NAME, hashlib.sha256(b"another").hexdigest())
    other.discard()
    assert store.known(NAME) == Known(len(BYTES), SHA)


def test_a_damaged_output_is_not_taken_for_what_its_metadata_says(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path)
    obstore.put(connect(watched.place), f"spring/{NAME}", b"PICTURES!", attributes={"sha256": SHA})
    store.distrust(NAME)
    one = staged(store)
    assert not one.publish(NAME, SHA)
    store.move([(NAME, "superseded/mug.png")])
    watched.fault = Once(CUT_OFF, "PUT")
    assert one.publish(NAME, SHA)
    with store.open(NAME) as file:
        assert file.read() == BYTES


@pytest.mark.parametrize("single_put", [MIB, 0])
def test_an_answer_that_is_cut_off_is_no_failure(watched: Watched, tmp_path: Path, single_put: int) -> None:
    store = storage(watched, tmp_path, single_put=single_put)
    watched.fault = once = Once(CUT_OFF, "PUT", f"spring/{NAME}")
    assert staged(store).publish(NAME, SHA)
    assert once.failed
    assert objects(watched) == [f"spring/{NAME}"]


@pytest.mark.parametrize("status", [500, 503, 409])
def test_what_fails_for_a_moment_is_repeated(watched: Watched, tmp_path: Path, status: int) -> None:
    store = storage(watched, tmp_path)
    watched.fault = once = Once(status, "PUT")
    assert staged(store).publish(NAME, SHA)
    assert once.failed


def test_what_fails_for_good_is_given_up_and_says_nothing_secret(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path)
    watched.fault = lambda request: 403 if request.method == "PUT" else None
    one = staged(store)
    with pytest.raises(StoreError, match="refuses access") as raised:
        one.publish(NAME, SHA)
    assert SECRET not in str(raised.value)
    assert 1 < watched.count("PUT") <= 6, "bounded"
    one.discard()
    assert list((tmp_path / "spool").iterdir()) == []


def test_parts_that_fail_are_aborted(watched: Watched, tmp_path: Path) -> None:
    content = bytes(17 * MIB)
    store = storage(watched, tmp_path, single_put=MIB)
    watched.fault = lambda request: 403 if "partNumber=2" in request.path else None
    one = staged(store, content)
    with pytest.raises(StoreError):
        one.publish("files/film.mp4", hashlib.sha256(content).hexdigest())
    one.discard()
    assert watched.count("POST", "uploads=") == watched.count("DELETE", "uploadId=") == 3
    assert objects(watched) == []


def test_a_large_output_is_whole_before_it_has_its_name(watched: Watched, tmp_path: Path) -> None:
    content = bytes(17 * MIB)
    sha256 = hashlib.sha256(content).hexdigest()
    store = storage(watched, tmp_path, single_put=MIB)
    watched.fault = Once(500, "PUT", "spring/files/film.mp4")
    assert staged(store, content, "film").publish("files/film.mp4", sha256)
    assert objects(watched) == ["spring/files/film.mp4"]
    assert store.known("files/film.mp4") == Known(len(content), sha256)
    with store.open("files/film.mp4") as file:
        assert file.read() == content
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_a_kill_between_parts_and_copy_left_is_used_up(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path, single_put=0)
    obstore.put(connect(watched.place), f"spring/uploads/{NAME}", b"half of another")
    assert staged(store).publish(NAME, SHA)
    assert objects(watched) == [f"spring/{NAME}"]
    assert store.known(NAME) == Known(len(BYTES), SHA)


def test_a_move_that_was_cut_off_between_copy_and_removal_is_finished(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path)
    staged(store).publish(NAME, SHA)
    obstore.copy(connect(watched.place), f"spring/{NAME}", "spring/superseded/mug.png")
    store.move([(NAME, "superseded/mug.png")])
    assert objects(watched) == ["spring/superseded/mug.png"]


def test_a_move_overwrites_nothing(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path)
    staged(store).publish(NAME, SHA)
    staged(store, b"another").publish("files/jug.png", hashlib.sha256(b"another").hexdigest())
    with pytest.raises(StoreError, match="is in the way"):
        store.move([(NAME, "files/jug.png")])
    assert store.known("files/jug.png") == Known(7, hashlib.sha256(b"another").hexdigest())


def test_the_spool_says_when_it_is_full(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path, most_spooled=20)
    first, second = staged(store, bytes(12), "a"), staged(store, bytes(8), "b")
    assert store.full
    second.discard()
    second.discard()
    assert not store.full
    second = staged(store, bytes(8), "b")
    assert store.full
    assert first.publish("files/a.png", hashlib.sha256(bytes(12)).hexdigest())
    assert not store.full
    second.discard()


def test_a_copy_goes_when_it_is_closed(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path)
    staged(store).publish(NAME, SHA)
    with store.open(NAME) as file:
        assert Path(str(file.name)).read_bytes() == BYTES
        assert str(file.name).endswith("mug.png")
    assert list((tmp_path / "spool").iterdir()) == []
    watched.fault = lambda _: 403
    with pytest.raises(OSError, match="refuses access"):
        store.open(NAME)
    assert list((tmp_path / "spool").iterdir()) == []


def test_the_bucket_is_never_listed(watched: Watched, tmp_path: Path) -> None:
    store = storage(watched, tmp_path, single_put=0)
    staged(store).publish(NAME, SHA)
    store.move([(NAME, "superseded/mug.png")])
    assert (list(store.names()), store.length(NAME), store.read("run.json")) == ([], None, None)
    assert not any(request.lists for request in watched.requests)
    list(obstore.list(connect(watched.place)))
    assert watched.requests[-1].lists, "it would show"
