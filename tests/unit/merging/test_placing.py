"""Files of merged run folders: linked or copied, never overwritten, and never outside of a run folder."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.errors import DiskError, RunFolderError
from batchgen.journal.merging.combining import MergedFile
from batchgen.session.merging.placing import PlacedFiles, Placer

CONTENT = b"a picture"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def file(path: str, target: str | None = None) -> MergedFile:
    return MergedFile(path, target or path, len(CONTENT), SHA256)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "one" / "files" / "deep").mkdir(parents=True)
    for name in ("files/mug.png", "files/deep/mug.png"):
        (tmp_path / "one" / name).write_bytes(CONTENT)
    return tmp_path / "one"


def placed(source: Path, *files: MergedFile) -> PlacedFiles:
    placer = Placer(source.parent / "all")
    (source.parent / "all").mkdir(exist_ok=True)
    placer.place(source, files)
    placer.finish()
    return placer.placed


def without_links(*_: Any, **__: Any) -> None:
    raise OSError(errno.EXDEV, "another disk")


@pytest.mark.parametrize("links", [True, False])
def test_files_are_placed_once(source: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    files = file("files/mug.png"), file("files/deep/mug.png"), file("files/gone.png"), file("superseded/x/gone.png")
    first, again = placed(source, *files), placed(source, *files)
    assert first == PlacedFiles(linked=2 * links, copied=2 * (not links), missing=2)
    assert again == PlacedFiles(there=2, missing=2)
    copy = source.parent / "all" / "files" / "deep" / "mug.png"
    assert copy.read_bytes() == CONTENT
    assert copy.samefile(source / "files" / "deep" / "mug.png") == links
    assert [path.name for path in copy.parent.iterdir()] == ["mug.png"]


@pytest.mark.parametrize("links", [True, False])
def test_another_file_in_the_place_is_left(source: Path, links: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    place = source.parent / "all" / "files" / "mug.png"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"a drawing")  # of the same length
    with pytest.raises(RunFolderError, match=r"mug\.png is another file than .*one/files/mug\.png; move it away"):
        placed(source, file("files/mug.png"))
    assert place.read_bytes() == b"a drawing"


def test_a_link_is_followed_to_the_file(source: Path) -> None:
    """As where somebody has moved large files to another place."""
    (source / "files" / "link.png").symlink_to("deep/mug.png")
    (source / "files" / "dangling.png").symlink_to("nowhere")
    assert placed(source, file("files/link.png"), file("files/dangling.png")) == PlacedFiles(linked=1, missing=1)
    assert not (source.parent / "all" / "files" / "link.png").is_symlink()


@pytest.mark.parametrize("path", ["files/../../x", "/etc/passwd", "files", "journal.sqlite3", "files//x", "files/./x"])
@pytest.mark.parametrize("as_target", [True, False])
def test_no_path_leads_out_of_a_run_folder(source: Path, path: str, as_target: bool) -> None:
    wrong = file("files/mug.png", path) if as_target else file(path, "files/x.png")
    with pytest.raises(RunFolderError, match="names a file outside of it"):
        placed(source, wrong)


def test_a_folder_that_cannot_be_made_is_told(source: Path) -> None:
    (source.parent / "all").mkdir()
    (source.parent / "all" / "files").symlink_to("nowhere")
    with pytest.raises(DiskError, match=r"cannot write .*all/files/mug\.png"):
        placed(source, file("files/mug.png"))
