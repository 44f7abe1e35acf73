"""Outputs that are saved together: each whole and durable or not there at all, and each with an outcome of its own."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.kept import png

from batchgen.api import OutputError
from batchgen.core.errors import DiskError
from batchgen.download.saving import SAVE, NameTakenError, OutputDamaged, Saving
from batchgen.store import LocalDisk

STEMS = ("a/mug", "a/jug", "b/cup")


def picture(name: str) -> bytes:
    return png(sum(name.encode()) % 256)


def saving(store: LocalDisk, stem: str, content: bytes, *, written: int = 0) -> Saving:
    """An output that has arrived; of a large one, the first `written` bytes are in the staged file already."""
    made = Saving(store, stem, kind="image", seen=None)
    if written:
        made.pieces.append(content[:written])
        made.append()
    made.pieces.append(content[written:])
    return made


def three(folder: Path) -> dict[str, Saving]:
    store = LocalDisk(folder)
    return {stem: saving(store, stem, picture(stem), written=40 if stem == "b/cup" else 0) for stem in STEMS}


def part_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())


class Killed(BaseException):
    """The process dies here."""


@contextmanager
def steps_seen(patch: pytest.MonkeyPatch, step: Callable[[str, str], None]) -> Iterator[None]:
    """Call `step` with what is about to be done to the disk, and the path."""
    real_sync, real_replace, real_open = os.fsync, Path.replace, Path.open

    def sync(handle: int) -> None:
        step("sync", part_of(handle))
        real_sync(handle)

    def replace(self: Path, target: Path) -> Path:
        step("rename", str(target))
        return real_replace(self, target)

    def opened(self: Path, *args: object, **more: object) -> object:
        step("open", str(self))
        return real_open(self, *args, **more)  # type: ignore[call-overload]

    with patch.context() as patched:
        patched.setattr(os, "fsync", sync)
        patched.setattr(Path, "replace", replace)
        patched.setattr(Path, "open", opened)
        yield


def test_a_group_shares_its_steps_and_the_sync_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All bytes are durable before any of them has its name, and all names before any of them is told to be there."""
    for stem in STEMS:
        (tmp_path / "files" / stem).parent.mkdir(parents=True, exist_ok=True)
    waiting = three(tmp_path)
    seen: list[tuple[str, str]] = []
    with steps_seen(monkeypatch, lambda what, path: seen.append((what, os.path.relpath(path, tmp_path / "files")))):
        assert SAVE.serve([*waiting.values()]) == [(None, None)] * 3
    assert [step for step in seen if step[0] != "open"] == [
        *[("sync", f"{stem}.part") for stem in STEMS],
        *[("rename", f"{stem}.png") for stem in STEMS],
        ("sync", "a"),
        ("sync", "b"),
    ]
    for stem, saved in waiting.items():
        assert saved.name == f"files/{stem}.png"
        assert (tmp_path / saved.name).read_bytes() == picture(stem)
        assert saved.stored(1).bytes == len(picture(stem))


def test_a_kill_between_any_two_steps_leaves_nothing_or_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at in range(100):
        folder = tmp_path / str(at)
        folder.mkdir()
        waiting = three(folder)
        count, durable = 0, set[str]()

        def step(what: str, path: str, at: int = at, durable: set[str] = durable) -> None:
            nonlocal count
            if count == at:
                raise Killed
            count += 1
            if what == "sync":
                durable.add(path)

        with steps_seen(monkeypatch, step):
            try:
                SAVE.serve([*waiting.values()])
            except Killed:
                pass
            else:
                assert at > 10
                break
        for stem, killed in waiting.items():
            final = folder / "files" / f"{stem}.png"
            if final.exists():
                assert final.read_bytes() == picture(stem)
                assert str(folder / "files" / f"{stem}.part") in durable
            killed.discard()
        # What the kill left is no obstacle to the next run.
        for stem, again in three(folder).items():
            final = folder / "files" / f"{stem}.png"
            if final.exists():
                with pytest.raises(NameTakenError):
                    SAVE(again)
                again.discard()
            else:
                SAVE(again)
                assert final.read_bytes() == picture(stem)
        assert list(folder.rglob("*.part")) == []
    else:
        pytest.fail("there is no end to the steps")


def test_only_what_the_full_disk_refuses_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = three(tmp_path)

    def full(what: str, path: str) -> None:
        if what == "sync" and path.endswith("jug.part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with steps_seen(monkeypatch, full):
        outcomes = dict(zip(waiting, SAVE.serve([*waiting.values()]), strict=True))
    assert [stem for stem, outcome in outcomes.items() if outcome == (None, None)] == ["a/mug", "b/cup"]
    assert isinstance(outcomes["a/jug"][1], DiskError)
    waiting["a/jug"].discard()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["cup.png", "mug.png"]


def test_a_folder_that_cannot_be_synced_concerns_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b"):
        (tmp_path / "files" / folder).mkdir(parents=True)

    def broken(what: str, path: str) -> None:
        if (what, path) == ("sync", str(tmp_path / "files" / "a")):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with steps_seen(monkeypatch, broken):
        outcomes = SAVE.serve([*three(tmp_path).values()])
    assert [type(error) for _, error in outcomes] == [DiskError, DiskError, type(None)]


def test_what_is_not_whole_never_touches_the_disk_and_stops_no_other(tmp_path: Path) -> None:
    store = LocalDisk(tmp_path)
    cut, whole = saving(store, "cut", picture("cut")[:-1]), saving(store, "whole", picture("whole"))
    (_, error), outcome = SAVE.serve([cut, whole])
    assert isinstance(error, OutputDamaged)
    assert outcome == (None, None)
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["whole.png"]


def test_of_two_of_one_name_in_a_group_the_later_one_counts(tmp_path: Path) -> None:
    store = LocalDisk(tmp_path)
    early, late = saving(store, "mug", picture("early")), saving(store, "mug", picture("late"))
    (_, error), outcome = SAVE.serve([early, late])
    assert isinstance(error, OutputError)
    assert outcome == (None, None)
    early.discard()
    assert (tmp_path / "files/mug.png").read_bytes() == picture("late")


def test_what_is_saved_once_more_is_whole(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/mug.png").write_bytes(b"earlier")
    mug = saving(LocalDisk(tmp_path), "mug", picture("mug"))
    with pytest.raises(NameTakenError):
        SAVE(mug)
    (tmp_path / "files/mug.png").rename(tmp_path / "aside.png")
    SAVE(mug)
    assert (tmp_path / "files/mug.png").read_bytes() == picture("mug")
    assert (tmp_path / "aside.png").read_bytes() == b"earlier"
