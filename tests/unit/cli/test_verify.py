"""`batchgen verify`: files on disk against the journal."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.bought import Buyer, item, journal_of
from support.kept import keep, png

from batchgen.cli.runs.verify import command
from batchgen.journal import Journal


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "output" / "spring"
    with journal_of(folder, [item("jar"), item("spin", "Spin"), item("later", "Later")]) as journal:
        buyer = Buyer(journal)
        keep(journal, buyer, folder, "jar", outputs=3)
        keep(journal, buyer, folder, "spin")
        buyer.ready("later")
    yield folder


def verified(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)


def test_a_whole_run(run: Path) -> None:
    result = verified(run)
    assert result.return_value == 0
    size = 3 * len(png(1)) + len(png(1))
    assert result.stdout == f"spring: 4 files, {size} bytes: all match the journal (length, SHA-256 and container)\n"
    assert result.output == result.stdout, "nothing on stderr"


def test_every_kind_of_difference(run: Path) -> None:
    (run / "files" / "jar@1.png").unlink()
    (run / "files" / "jar@2.png").write_bytes(png(2) + b"\n")
    (run / "files" / "jar@3.png").write_bytes(png(4))
    result = verified(run)
    assert result.return_value == 1
    lines = result.stdout.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == [
        "files/jar@1.png",
        "files/jar@2.png",
        "files/jar@3.png",
        "spring:",
    ]
    assert "missing" in lines[0]
    assert str(len(png(2)) + 1) in lines[1]
    assert "SHA-256" in lines[2]
    assert "3 differ" in lines[3]
    assert "--refetch" in lines[3]


def test_quick_leaves_out_the_hash_and_nothing_else(run: Path) -> None:
    (run / "files" / "jar@3.png").write_bytes(png(4))
    assert verified(run, "--quick").return_value == 0
    (run / "files" / "jar@3.png").write_bytes(b"\x00" * len(png(4)))
    result = verified(run, "--quick")
    assert result.return_value == 1
    assert result.stdout.splitlines()[-1].endswith(
        "1 differ (length and container); `--refetch` downloads them again and buys nothing"
    )


def test_what_the_journal_does_not_know_is_a_note(run: Path) -> None:
    (run / "files" / "a").mkdir()
    (run / "files" / "a" / "x\x1b[2J.png").touch()
    (run / "files" / "jar.PNG").touch()
    (run / "superseded").mkdir()
    (run / "superseded" / "other.png").touch()
    result = verified(run)
    assert result.return_value == 0
    assert sorted(result.stdout.splitlines()[:-1]) == [
        "note: files/a/x [2J.png is not in the journal",
        "note: files/jar.PNG is not in the journal",
    ]


def test_a_name_that_is_no_text_is_a_note_as_well(run: Path) -> None:
    import os

    with open(os.fsencode(run / "files") + b"/\xff.png", "wb"):  # noqa: PTH123 - pathlib has no names of bytes
        pass
    document = json.loads(verified(run, "--json").stdout)
    assert document["unknown"] == ["files/\udcff.png"]
    assert verified(run).return_value == 0


def test_superseded_files_are_checked_where_they_are(run: Path) -> None:
    (run / "superseded").mkdir()
    journal = Journal(run)
    with journal.transaction():
        journal.move_file("files/spin.png", "superseded/spin.png")
    journal.close()
    assert verified(run).stdout.startswith("superseded/spin.png is missing\nnote: files/spin.png")
    (run / "files" / "spin.png").rename(run / "superseded" / "spin.png")
    assert verified(run).return_value == 0


def test_json(run: Path) -> None:
    (run / "files" / "jar@2.png").unlink()
    (run / "files" / "new.png").touch()
    result = verified(run, "--json")
    assert result.return_value == 1
    assert json.loads(result.stdout) == {
        "format_version": 1,
        "run": "spring",
        "files": 4,
        "bytes": 4 * len(png(1)),
        "differing": 1,
        "differences": [
            {
                "file": "files/jar@2.png",
                "item_id": "jar",
                "output": 2,
                "reason": "is missing",
                "refetched": False,
                "detail": None,
            }
        ],
        "unknown": ["files/new.png"],
    }


def test_an_empty_run_is_fine(tmp_path: Path) -> None:
    with journal_of(tmp_path, []):
        pass
    assert verified(tmp_path).return_value == 0


def test_a_bar_is_shown_on_a_terminal_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run / "files" / "jar@2.png").unlink()
    monkeypatch.setattr("batchgen.cli.runs.verify._on_terminal", lambda: True)
    shown = verified(run)
    assert "files/jar@2.png is missing\n" in shown.stdout
    assert "4/4" in shown.output or "0/4" in shown.output
