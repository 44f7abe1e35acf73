"""The file of picks, looked at again: what is found is what reading it anew finds, however it came about."""

import multiprocessing
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.core.errors import RunFolderError
from batchgen.picks import FILE_NAME, Choice, FollowedPicks, Pick, append_picks, read_picks


def pick(output: int, choice: Choice = "keep", item: str = "mug") -> Pick:
    return Pick(item, "d1", output, "abc", choice)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    append_picks(tmp_path, [pick(1), pick(2)])
    return tmp_path / FILE_NAME


@pytest.fixture
def followed(path: Path) -> FollowedPicks:
    followed = FollowedPicks(path.parent)
    assert followed.update() == [pick(1), pick(2)]
    return followed


def agrees(followed: FollowedPicks, folder: Path) -> bool:
    return list(followed.picks.items()) == list(read_picks(folder).items())


def test_only_what_was_appended_is_new(path: Path, followed: FollowedPicks) -> None:
    assert followed.update() == []
    append_picks(path.parent, [pick(1, "reject"), pick(3)])
    assert followed.update() == [pick(1, "reject"), pick(3)]
    assert followed.update() == []
    assert [one.output for one in followed.picks.values()] == [2, 1, 3]
    assert agrees(followed, path.parent)


def test_a_file_that_comes_and_goes(tmp_path: Path) -> None:
    followed = FollowedPicks(tmp_path)
    assert followed.update() == []
    append_picks(tmp_path, [pick(1)])
    assert followed.update() == [pick(1)]
    (tmp_path / FILE_NAME).unlink()
    assert followed.update() is None
    assert not followed.picks
    assert followed.update() == []
    append_picks(tmp_path, [pick(1)])
    assert followed.update() == [pick(1)]


@pytest.mark.parametrize("size", [0, 10, -10])
def test_a_file_that_was_cut_is_read_anew(path: Path, followed: FollowedPicks, size: int) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:size] if size else b"")
    assert followed.update() is None
    assert agrees(followed, path.parent)
    append_picks(path.parent, [pick(7), pick(8), pick(9)])
    assert followed.update() is not None
    assert agrees(followed, path.parent)
    assert pick(9) in followed.picks.values()


def test_a_file_that_was_cut_and_has_grown_since_is_read_anew(path: Path, followed: FollowedPicks) -> None:
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    append_picks(path.parent, [pick(7), pick(8)])
    assert followed.update() is None
    assert [one.output for one in followed.picks.values()] == [1, 7, 8]


def test_another_file_in_its_place_is_read_anew(path: Path, followed: FollowedPicks) -> None:
    other = path.with_name("other")
    lines = path.read_bytes()
    other.write_bytes(lines.replace(b"keep", b"reject", 1) + lines)
    other.replace(path)
    assert followed.update() is None
    assert agrees(followed, path.parent)


def test_a_line_that_was_changed_in_its_place_is_read_anew(path: Path, followed: FollowedPicks) -> None:
    with path.open("r+b") as file:
        file.write(path.read_bytes().replace(b'"output": 1', b'"output": 5', 1))
    assert followed.update() is None
    assert [one.output for one in followed.picks.values()] == [5, 2]


def test_a_line_that_is_being_written_counts_once_it_is_whole(path: Path, followed: FollowedPicks) -> None:
    before = path.read_bytes()
    append_picks(path.parent, [pick(3)])
    whole = path.read_bytes()
    for end in range(len(before) + 1, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert followed.update() == []
    path.write_bytes(before)  # another program takes away what was cut short
    append_picks(path.parent, [pick(4)])
    followed.update()
    assert [one.output for one in followed.picks.values()] == [1, 2, 4]


def test_a_last_line_without_its_end_counts_until_it_is_replaced(path: Path, followed: FollowedPicks) -> None:
    before = path.read_bytes()
    append_picks(path.parent, [pick(3)])
    path.write_bytes(path.read_bytes()[:-1])
    assert followed.update() == [pick(3)]
    path.write_bytes(before)
    append_picks(path.parent, [pick(4), pick(5)])
    assert followed.update() is None
    assert [one.output for one in followed.picks.values()] == [1, 2, 4, 5]


def test_a_bad_line_is_named_by_its_place_and_nothing_changes(path: Path, followed: FollowedPicks) -> None:
    append_picks(path.parent, [pick(3)])
    good = path.read_bytes()
    path.write_bytes(good + b"no pick\n")
    for _ in range(2):
        with pytest.raises(RunFolderError, match=f"{FILE_NAME}:4: this line is not a pick"):
            followed.update()
    assert list(followed.picks.values()) == [pick(1), pick(2)]
    path.write_bytes(good)
    assert followed.update() == [pick(3)]


def test_picks_that_failed_on_the_way_do_not_stay(path: Path, followed: FollowedPicks) -> None:
    def picks() -> Iterator[Pick]:
        for number in range(10_000):  # enough to be written in several parts
            yield pick(number + 1, item="a" * 60)
        assert followed.update(), "they are seen while they come"
        raise ValueError("broken off")

    with pytest.raises(ValueError, match="broken off"):
        append_picks(path.parent, picks())
    assert followed.update() is None
    assert list(followed.picks.values()) == [pick(1), pick(2)]


def test_a_line_that_is_being_written_is_read_by_the_next_look(
    path: Path, followed: FollowedPicks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs may see the beginning of a write before its end."""
    append_picks(path.parent, [pick(3), pick(4)])
    with monkeypatch.context() as patch:
        fstat = os.fstat

        def halfway(file: int) -> os.stat_result:
            found = list(fstat(file))
            found[stat.ST_SIZE] -= 20
            return os.stat_result(found, {"st_mtime_ns": 1})

        patch.setattr("batchgen.picks.file.os.fstat", halfway)
        assert followed.update() == [pick(3)]
    assert followed.update() == [pick(4)]


def write(folder: Path, item: str, count: int) -> None:
    for number in range(count):
        append_picks(folder, [pick(number + 1, item=item), pick(number + 1, "reject", item=item)])


def test_those_of_several_writers_are_all_found(path: Path, followed: FollowedPicks) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(path.parent, f"i{number}", 40)) for number in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        followed.update()
    followed.update()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert agrees(followed, path.parent)
    assert len(followed.picks) == 82
