"""The file of picks: the last line of an output counts, and nothing that was acknowledged is lost."""

import errno
import fcntl
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from batchgen.core.errors import DiskError, RunFolderError
from batchgen.picks import FILE_NAME, Choice, Pick, append_picks, read_picks


def pick(item: str = "mug", output: int = 1, choice: Choice = "keep", **more: object) -> Pick:
    return Pick(item, "d1", output, "abc", choice, **more)  # type: ignore[arg-type]  # by name


def test_no_file_means_no_picks(tmp_path: Path) -> None:
    assert read_picks(tmp_path) == {}
    append_picks(tmp_path, [])
    assert not (tmp_path / FILE_NAME).exists()


def test_the_last_line_of_an_output_counts(tmp_path: Path) -> None:
    append_picks(tmp_path, [pick(), pick(output=2, choice="reject", reason="blurry", rating=2, at="now")])
    append_picks(tmp_path, [pick(choice="")])
    assert list(read_picks(tmp_path).values()) == [
        pick(output=2, choice="reject", reason="blurry", rating=2, at="now"),
        pick(choice=""),
    ]


def test_picks_are_in_the_order_in_which_they_were_made(tmp_path: Path) -> None:
    append_picks(tmp_path, [pick(), pick(output=2), pick(choice="reject")])
    assert [p.output for p in read_picks(tmp_path).values()] == [2, 1]


def test_a_last_line_without_its_line_end_is_not_lost(tmp_path: Path) -> None:
    append_picks(tmp_path, [pick(), pick(output=2)])
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-1])
    assert list(read_picks(tmp_path).values()) == [pick(), pick(output=2)]
    append_picks(tmp_path, [pick(output=3)])
    assert list(read_picks(tmp_path).values()) == [pick(), pick(output=2), pick(output=3)]
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("cut", [2, 20, 60])
def test_a_line_that_was_cut_short_is_left_out_and_replaced(tmp_path: Path, cut: int) -> None:
    append_picks(tmp_path, [pick(), pick(output=2)])
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(read_picks(tmp_path).values()) == [pick()]
    append_picks(tmp_path, [pick(output=3)])
    assert list(read_picks(tmp_path).values()) == [pick(), pick(output=3)]


def test_an_only_line_that_was_cut_short_is_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b'{"item": "mu')
    append_picks(tmp_path, [pick()])
    assert list(read_picks(tmp_path).values()) == [pick()]


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{}", "no JSON", '{"item": "\\ud800", "digest": "d", "output": 1, "sha256": "a", "pick": "keep"}',
     '{"item": "a", "digest": "d", "output": 1, "sha256": "a", "pick": "keep", "reason": "\\u0000"}',
     "[" * 50_000, '{"item": 1, "digest": "d", "output": 1, "sha256": "a", "pick": "keep"}',
     '{"item": "a", "digest": "d", "output": 0, "sha256": "a", "pick": "keep"}',
     '{"item": "a", "digest": "d", "output": true, "sha256": "a", "pick": "keep"}',
     '{"item": "a", "digest": "d", "output": 1, "sha256": "a", "pick": "kept"}',
     '{"item": "a", "digest": "d", "output": 1, "sha256": "a", "pick": "keep", "rating": 6}', "x" * 70_000],
    ids=range(13),
)  # fmt: skip
def test_a_line_that_is_no_pick_is_named(tmp_path: Path, line: str) -> None:
    append_picks(tmp_path, [pick()])
    with (tmp_path / FILE_NAME).open("a", encoding="utf-8") as out:
        out.write(f"{line}\n")
    append_picks(tmp_path, [pick()])
    with pytest.raises(RunFolderError, match=r"picks\.jsonl:2: this line is not a pick; fix it or remove it"):
        read_picks(tmp_path)


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    append_picks(tmp_path, [pick()])
    path = tmp_path / FILE_NAME
    path.write_text(path.read_text(encoding="utf-8").replace("{", '{"by": "a friend", '), encoding="utf-8")
    assert list(read_picks(tmp_path).values()) == [pick()]


@pytest.mark.parametrize(
    "unreadable",
    [pick(output=0), pick(rating=6), pick(choice="kept"), pick(reason="x" * 70_000), pick(reason="\0")],  # type: ignore[arg-type]  # as a caller might
)
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, unreadable: Pick) -> None:
    with pytest.raises(ValueError, match="not a pick that can be written down"):
        append_picks(tmp_path, [pick(), unreadable])
    assert read_picks(tmp_path) == {}


def test_nothing_is_appended_to_what_is_not_a_file_of_picks(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(b"x" * 70_000)
    with pytest.raises(RunFolderError, match=r"picks\.jsonl: its last line is not a pick"):
        append_picks(tmp_path, [pick()])
    assert path.stat().st_size == 70_000


def test_a_full_disk_leaves_no_part_of_a_pick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_picks(tmp_path, [pick()])
    write, room = os.pwrite, [1]

    def first_line_only(file: int, data: memoryview, position: int) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        room.pop()
        return write(file, data[: bytes(data).index(b"\n") + 1], position)

    monkeypatch.setattr(os, "pwrite", first_line_only)
    with pytest.raises(DiskError, match="No space left on device"):
        append_picks(tmp_path, [pick(output=2), pick(output=3)])
    monkeypatch.undo()
    assert list(read_picks(tmp_path).values()) == [pick()]


def test_nobody_else_appends_from_the_look_at_the_end_until_all_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_picks(tmp_path, [pick()])
    held = []

    def watched(name: str) -> None:
        function = getattr(os, name)

        def step(file: int, *arguments: object) -> object:
            with (tmp_path / FILE_NAME).open("rb") as other, suppress(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                pytest.fail(f"another program could append during {name}")
            held.append(name)
            return function(file, *arguments)

        monkeypatch.setattr(os, name, step)

    for name in ("pread", "pwrite", "fsync"):
        watched(name)
    append_picks(tmp_path, [pick(output=2)])
    assert held[:3] == ["pread", "pwrite", "fsync"]


def append_many(folder: Path, item: str, start: Barrier) -> None:
    start.wait(60)
    for n in range(1, 101):
        append_picks(folder, [pick(item, n)])


def test_several_processes_append_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    writers = [context.Process(target=append_many, args=(tmp_path, item, start)) for item in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(read_picks(tmp_path)) == 200


def test_very_many_picks_are_written_as_they_come_all_of_them_or_none(tmp_path: Path) -> None:
    append_picks(tmp_path, [Pick("mug", "d", 1, "s", "keep")])
    before = (tmp_path / FILE_NAME).read_bytes()
    grown = []

    def picks(number: int, *, broken: bool) -> Iterator[Pick]:
        for n in range(1, number + 1):
            if n % 1000 == 0:
                grown.append((tmp_path / FILE_NAME).stat().st_size)
            yield Pick("vase", "d" * 64, n, "s" * 64, "reject")
        if broken:
            raise RunFolderError("the folder went away")

    with pytest.raises(RunFolderError):
        append_picks(tmp_path, picks(10_000, broken=True))
    assert max(grown) > len(before)  # it was on its way
    assert (tmp_path / FILE_NAME).read_bytes() == before
    append_picks(tmp_path, picks(10_000, broken=False))
    assert len(read_picks(tmp_path)) == 10_001
