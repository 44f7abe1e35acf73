"""Where the output folder lies, and which folder a RUN means."""

from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen import journal, receipts
from batchgen.core.errors import RunFolderError, UsageError
from batchgen.session import locate
from batchgen.session.locate import find_run, output_folder, remote_outputs
from batchgen.session.locate import run_folder as folder_of
from batchgen.store import Address


def no_manifest(path: Path) -> str:
    raise AssertionError(f"{path} was read as a manifest")


def named(name: str) -> Callable[[Path], str]:
    return lambda _: name


def run_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / journal.FILE_NAME).touch()
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a nested folder of manifests; the working directory is elsewhere."""
    (tmp_path / "project" / "manifests" / "spring").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "project"


def manifest_in(folder: Path) -> Path:
    path = folder / "m.yaml"
    path.write_text("name: spring\n")
    return path


def test_the_flag_wins_then_the_variable(project: Path) -> None:
    manifest = manifest_in(project)
    assert output_folder(manifest, "here", {"BATCHGEN_OUTPUT": "/there"}) == Path.cwd() / "here"
    assert output_folder(manifest, None, {"BATCHGEN_OUTPUT": "/there"}) == Path("/there")
    assert output_folder(manifest, None, {"BATCHGEN_OUTPUT": ""}) == project / "output"


def test_with_an_object_store_the_state_folder_holds_the_run_folders(project: Path, tmp_path: Path) -> None:
    manifest, remote = manifest_in(project / "manifests" / "spring"), "s3://films/2026"
    beside = manifest.parent / "output"
    state = {"BATCHGEN_STATE": str(tmp_path / "state")}
    assert output_folder(manifest, remote, {}) == output_folder(manifest, None, {"BATCHGEN_OUTPUT": remote}) == beside
    assert output_folder(manifest, remote, state) == tmp_path / "state"
    assert output_folder(manifest, None, state | {"BATCHGEN_OUTPUT": remote}) == tmp_path / "state"
    assert output_folder(manifest, remote, state, "here") == Path("here").absolute()
    assert output_folder(manifest, "/disk", state) == Path("/disk"), "that of a local run is its output folder"
    assert (
        remote_outputs(remote, {})
        == remote_outputs(None, {"BATCHGEN_OUTPUT": remote})
        == Address("s3", "films", "2026")
    )
    assert remote_outputs("/disk", {"BATCHGEN_OUTPUT": remote}) is None


def test_a_state_folder_that_cannot_be_one_is_refused(project: Path) -> None:
    manifest, remote = manifest_in(project / "manifests" / "spring"), "s3://films"
    with pytest.raises(UsageError, match="--state goes with an object store"):
        output_folder(manifest, "/disk", {}, "/state")
    with pytest.raises(UsageError, match="BATCHGEN_STATE=state means a different folder"):
        output_folder(manifest, remote, {"BATCHGEN_STATE": "state"})
    with pytest.raises(UsageError, match="must be a folder on a local disk"):
        output_folder(manifest, remote, {"BATCHGEN_STATE": "s3://films/state"})
    with pytest.raises(UsageError, match="must be a folder on a local disk"):
        output_folder(manifest, remote, {}, "s3://films/state")


def test_a_run_with_outputs_elsewhere_is_pointed_out_too(project: Path) -> None:
    manifest = manifest_in(project / "manifests" / "spring")
    run_folder(project / "output" / "spring")
    (manifest.parent / "output").mkdir()
    with pytest.raises(UsageError, match=f"give --state {project / 'output'} to continue that run"):
        folder_of(manifest, "spring", "s3://films", {})


def test_the_nearest_output_folder_or_repository_counts(project: Path) -> None:
    manifest = manifest_in(project / "manifests" / "spring")
    assert output_folder(manifest, None, {}) == project / "manifests" / "spring" / "output"
    (project / ".git").write_text("gitdir: ../elsewhere")  # as in a worktree
    assert output_folder(manifest, None, {}) == project / "output"
    (project / "manifests" / "output").mkdir()
    assert output_folder(manifest, None, {}) == project / "manifests" / "output"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_an_output_that_is_no_folder_is_not_passed_over(project: Path, kind: str) -> None:
    """The disk behind a link may not be mounted; the next place further up would have everything bought again."""
    manifest = manifest_in(project / "manifests" / "spring")
    (project / ".git").mkdir()
    output = project / "manifests" / "output"
    output.write_text("") if kind == "file" else output.symlink_to(project / "unmounted")
    with pytest.raises(UsageError, match=r"manifests/output is .*not .*folder: fix it, or .* --output"):
        output_folder(manifest, None, {})
    assert output_folder(manifest, "/there", {}) == Path("/there")
    (project / "unmounted").mkdir()
    if kind == "link":
        assert output_folder(manifest, None, {}) == output


def test_a_link_to_a_manifest_has_the_manifests_output_folder(project: Path) -> None:
    (project / "output").mkdir()
    (project.parent / "elsewhere" / "output").mkdir()
    link = project.parent / "elsewhere" / "tonight.yaml"
    link.symlink_to(manifest_in(project / "manifests"))
    assert output_folder(link, None, {}) == project / "output"


def test_a_variable_that_depends_on_the_working_directory_is_refused(project: Path) -> None:
    for text in ("output", "../output", "~/output"):
        for manifest in (manifest_in(project), None):
            with pytest.raises(UsageError, match=r"BATCHGEN_OUTPUT=.*set it to an absolute path, such as /"):
                output_folder(manifest, None, {"BATCHGEN_OUTPUT": text})
    assert output_folder(manifest, "typed", {"BATCHGEN_OUTPUT": "output"}) == Path.cwd() / "typed"


@pytest.mark.parametrize("made", ["output", ".git"])
def test_a_run_that_a_new_folder_would_hide_is_pointed_out(project: Path, made: str) -> None:
    run = run_folder(project / "output" / "spring")
    manifest = manifest_in(project / "manifests" / "spring")
    assert folder_of(manifest, "spring", None, {}) == run
    (project / "manifests" / made).mkdir()
    here = project / "manifests" / "output"
    message = rf"is {here}, but {run.parent} holds a run spring: .*--output {run.parent} .*--output {here}"
    with pytest.raises(UsageError, match=message):
        folder_of(manifest, "spring", None, {})
    with pytest.raises(UsageError, match=message):
        find_run(str(manifest), None, {}, named("spring"))
    assert folder_of(manifest, "autumn", None, {}) == here / "autumn"
    assert folder_of(manifest, "spring", str(here), {}) == here / "spring"
    assert folder_of(manifest, "spring", None, {"BATCHGEN_OUTPUT": str(here)}) == here / "spring"
    run_folder(here / "spring")
    assert folder_of(manifest, "spring", None, {}) == here / "spring"


def test_the_working_directory_does_not_matter_to_a_manifest(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "output").mkdir()
    manifest = manifest_in(project / "manifests" / "spring")
    (project.parent / "elsewhere" / "output").mkdir()
    assert output_folder(manifest, None, {}) == project / "output"
    monkeypatch.chdir(manifest.parent)
    assert output_folder(Path("m.yaml"), None, {}) == project / "output"
    assert output_folder(Path("../spring/m.yaml"), None, {}) == project / "output"


def test_a_bare_name_is_searched_from_the_working_directory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_folder(project / "output" / "spring")
    monkeypatch.chdir(project / "manifests" / "spring")
    assert find_run("spring", None, {}, no_manifest) == run
    assert find_run("spring", str(project / "output"), {}, no_manifest) == run
    monkeypatch.chdir(project / "manifests")  # a folder of the run's name stands here, and is none
    assert find_run("spring", None, {}, no_manifest) == run


def test_a_run_folder_and_a_manifest(project: Path) -> None:
    run = run_folder(project / "output" / "spring")
    assert find_run(str(run), None, {}, no_manifest) == run
    assert find_run(f"{run}/", None, {}, no_manifest) == run
    manifest = manifest_in(project / "manifests")
    assert find_run(str(manifest), None, {}, named("spring")) == run


def test_what_is_not_there_is_named_with_what_is_near(project: Path) -> None:
    run_folder(project / "output" / "winter-menu")
    run_folder(project / "output" / "autumn")
    with pytest.raises(UsageError, match=r"no run 'winter-men'.*did you mean winter-menu\?"):
        find_run("winter-men", str(project / "output"), {}, no_manifest)
    with pytest.raises(UsageError, match=r"^there is no run 'x 1', [^(]*$"):
        find_run("x\n1", str(project / "output"), {}, no_manifest)
    with pytest.raises(UsageError, match=r"m\.yaml has not been run yet.*start it with batchgen run"):
        find_run(str(manifest_in(project)), str(project / "output"), {}, named("summer"))


def test_a_folder_that_is_none(project: Path) -> None:
    with pytest.raises(RunFolderError, match=r"not a run folder: it has no journal\.sqlite3"):
        find_run(str(project), None, {}, no_manifest)


@pytest.mark.parametrize("how", ["path", "name", "manifest"])
def test_a_run_whose_journal_is_gone_is_named_and_no_other_one_taken(project: Path, how: str) -> None:
    run_folder(project / "output" / "spring.simulated")
    run = project / "output" / "spring"
    run.mkdir()
    (run / receipts.FILE_NAME).touch()
    text = {"path": str(run), "name": "spring", "manifest": str(manifest_in(project))}[how]
    with pytest.raises(RunFolderError, match=rf"batchgen recover {run} MANIFEST"):
        find_run(text, str(project / "output"), {}, named("spring"))


@pytest.mark.parametrize("text", ["..", "../spring", "a/b", "", "."])
def test_names_do_not_lead_out_of_the_output_folder(project: Path, text: str) -> None:
    run_folder(project / "spring")
    run_folder(project / "output" / "a" / "b")
    with pytest.raises((UsageError, RunFolderError)):
        find_run(text, str(project / "output"), {}, no_manifest)


def test_the_mark_of_a_run_is_the_journal() -> None:
    assert locate._RECEIPTS == receipts.FILE_NAME
    assert locate.RUN_MARK == journal.FILE_NAME
