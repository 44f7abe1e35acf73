"""Runs whose outputs go to an object store: complete, resumed, refused, cut off. Nothing is bought twice."""

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import obstore
import pytest
from support.running import FAST, Simulated, batchgen, simulator, start, summary_of
from support.storage.objects import SECRET, bucket
from support.storage.proxy import Request, Watched, watched_bucket

from batchgen.catalog import load_catalog
from batchgen.plan.selection import Selection
from batchgen.session.judging.checking import check_files
from batchgen.session.outputs import file_systems
from batchgen.store import Address, object_storage, remote
from batchgen.store.remote import connect

MANIFEST = """version: 1
name: spring
defaults: {model: hera-1.0-text-to-image}
items:
  - {id: mug, prompt: A mug, num_images: 2}
  - {id: jug, prompt: A jug}
  - {id: cup, prompt: A cup}
"""
FILES = ["files/cup.png", "files/jug.png", "files/mug@1.png", "files/mug@2.png"]


@pytest.fixture
def api() -> Iterator[Simulated]:
    with simulator("--speed", 100) as running:
        yield running


@pytest.fixture
def watched() -> Iterator[Watched]:
    quick = {**remote._RETRY, "max_retries": 1}
    with watched_bucket() as found, patch.object(remote, "_RETRY", quick), patch.object(object_storage, "_PAUSE", 0.0):
        yield found


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def objects(place: Address) -> list[str]:
    found = [found["path"] for page in obstore.list(connect(place)) for found in page]
    return sorted(path.removeprefix("runs/spring/") for path in found)


def run(here: Path, api: Simulated, place: Address, *more: object) -> "tuple[int, dict[str, object], str]":
    ended = batchgen("run", "job.yaml", "--base-url", api.url, "--output", f"{place}/runs", *FAST, *more, cwd=here)
    return ended.returncode, summary_of(ended) if ended.stdout else {}, ended.stderr


def bought(api: Simulated) -> int:
    return len(api.jobs())


def test_outputs_lie_in_the_store_and_the_journal_here(here: Path, api: Simulated) -> None:
    with bucket() as place:
        code, summary, _ = run(here, api, place)
        assert (code, summary["done"], bought(api)) == (0, 3, 3)
        assert objects(place) == [*FILES, "ledger.csv", "report.html", "run.json", "summary.json"]
        folder = here / "output" / "spring"
        assert not (folder / "files").exists()
        assert not any((folder / "spool").glob("**/*"))
        stored = obstore.get(connect(place), "runs/spring/summary.json").bytes()
        assert json.loads(bytes(stored)) == json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        assert (folder / "ledger.csv").read_bytes() == bytes(
            obstore.get(connect(place), "runs/spring/ledger.csv").bytes()
        )
        code, summary, _ = run(here, api, place)
        assert (code, summary["done"], bought(api)) == (0, 3, 3)


def test_commands_take_the_state_folder_for_the_run(here: Path, api: Simulated) -> None:
    with bucket() as place:
        run(here, api, place, "--state", here / "state")
        folder = here / "state" / "spring"
        assert "done" in batchgen("status", folder, cwd=here).stdout
        for command in (["verify", folder], ["verify", folder, "--deep"], ["verify", "spring"]):
            checked = batchgen(*command, cwd=here, BATCHGEN_OUTPUT=f"{place}/runs", BATCHGEN_STATE=str(here / "state"))
            assert (checked.returncode, "4 files" in checked.stdout) == (0, True), checked.stderr
        assert batchgen("ledger", folder, cwd=here).returncode == 0
        assert batchgen("collect", folder, "--base-url", api.url, cwd=here).returncode == 0
        assert bought(api) == 3


def test_what_differs_in_the_store_is_found_and_fetched_again(here: Path, api: Simulated) -> None:
    with bucket() as place:
        run(here, api, place)
        store = connect(place.below("runs/spring"))
        obstore.delete(store, "files/cup.png")
        kept = obstore.get(store, "files/jug.png")
        content = bytes(kept.bytes())
        obstore.put(store, "files/jug.png", b"x" * len(content), attributes=kept.attributes)
        shallow, deep = (batchgen("verify", "spring", *more, cwd=here) for more in ([], ["--deep"]))
        assert "cup.png is missing" in shallow.stdout
        assert "jug.png" not in shallow.stdout, "its checksum was copied along: only reading tells"
        assert "jug.png has another SHA-256" in deep.stdout
        mended = batchgen("verify", "spring", "--deep", "--refetch", "--base-url", api.url, cwd=here)
        assert mended.stdout.count("downloaded again") == 2, mended.stdout
        assert batchgen("verify", "spring", "--deep", cwd=here).returncode == 0
        assert "superseded/jug.png" in objects(place)
        assert bought(api) == 3


def test_a_run_keeps_to_the_place_of_its_outputs(here: Path, api: Simulated) -> None:
    with bucket() as place:
        run(here, api, place)
        elsewhere = batchgen("run", "job.yaml", "--base-url", api.url, "--output", f"{place}/other", *FAST,
                             "--state", here / "output", cwd=here)  # fmt: skip
        local = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=here)
        for refused in (elsewhere, local):
            assert refused.returncode == 6, refused.stderr
            assert f"outputs are in {place}/runs/spring" in refused.stderr
        assert f"use --output {place}/runs" in local.stderr
        assert bought(api) == 3


def test_a_run_on_the_disk_stays_there(here: Path, api: Simulated) -> None:
    with bucket() as place:
        assert batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=here).returncode == 0
        code, _, told = run(here, api, place)
        assert (code, bought(api)) == (6, 3)
        assert "in the folder itself" in told


def test_two_state_folders_do_not_share_a_place(here: Path, api: Simulated) -> None:
    with bucket() as place:
        run(here, api, place)
        code, _, told = run(here, api, place, "--state", here / "state")
        assert (code, bought(api)) == (6, 3)
        assert "holds the outputs of another run folder" in told
        assert not (here / "state").exists()


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_store_that_refuses_is_found_before_anything_is_bought(
    here: Path, api: Simulated, watched: Watched, method: str
) -> None:
    watched.fault = lambda request: 403 if request.method == method else None
    code, _, told = run(here, api, watched.place)
    assert (code, bought(api)) == (5, 0)
    assert "the store refuses access (403 AccessDenied): check the credentials" in told
    log = here / "output" / "spring" / "batchgen.log"
    assert SECRET not in told + (log.read_text(encoding="utf-8") if log.exists() else "")


def test_a_new_run_folder_on_a_network_file_system_is_refused(
    here: Path, api: Simulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = ("run", "job.yaml", "--base-url", api.url, *FAST)
    assert batchgen(*local, cwd=here).returncode == 0
    monkeypatch.setattr(file_systems, "_kind_of", lambda *_: "nfs4")
    assert batchgen(*local, cwd=here).returncode == 0, "one that is there goes on"
    new = batchgen(*local, "--run", "another", cwd=here)
    with bucket() as place:
        code, _, told = run(here, api, place, "--run", "remote")
    for given in ((new.returncode, new.stderr), (code, told)):
        assert given[0] == 2
        assert "is on a network file system (nfs4)" in given[1]
    assert bought(api) == 3


def test_a_bucket_that_is_missing_is_found_before_anything_is_bought(here: Path, api: Simulated) -> None:
    with bucket() as place:
        code, _, told = run(here, api, Address("s3", f"{place.bucket}-none"))
        assert (code, bought(api)) == (5, 0)
        assert "there is no such bucket" in told


def test_a_store_that_fails_in_the_middle_stops_the_run_and_loses_nothing(
    here: Path, api: Simulated, watched: Watched
) -> None:
    watched.fault = lambda request: 503 if "/files/jug" in request.path else None
    code, summary, _ = run(here, api, watched.place)
    assert (code, summary["stopped_because"]) == (5, "object_store")
    watched.fault = lambda _: None
    before = bought(api)
    code, summary, _ = run(here, api, watched.place)
    assert (code, summary["done"]) == (0, 3)
    assert bought(api) == 3
    assert before <= 3
    assert [name for name in objects(watched.place) if name.startswith("files/")] == FILES


def killed_at(watched: Watched, fits: Callable[[Request], bool], here: Path, api: Simulated, *more: str) -> None:
    """Run in a process that is killed before it hears that the store has carried out a request that fits."""
    options = ("--base-url", api.url, "--output", f"{watched.place}/runs", *FAST, *more)
    process = start("run", "job.yaml", *options, cwd=here)

    def kill(request: Request) -> int | None:
        if fits(request) and process.poll() is None:
            while watched.passed.acquire(blocking=False):
                pass  # what was carried out before does not count
            process.send_signal(signal.SIGKILL)
            process.wait()
        return None

    watched.fault = kill
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert watched.passed.acquire(timeout=30), "the last request is carried out all the same"
    watched.fault = lambda _: None


def test_a_kill_between_upload_and_record_is_made_good(here: Path, api: Simulated, watched: Watched) -> None:
    killed_at(watched, lambda request: request.method == "PUT" and "/files/mug" in request.path, here, api)
    assert any("mug" in name for name in objects(watched.place)), "uploaded, and not recorded"
    code, summary, _ = run(here, api, watched.place)
    assert (code, summary["done"], bought(api)) == (0, 3, 3)
    assert [name for name in objects(watched.place) if "/" in name] == FILES, "known again by its SHA-256"
    assert batchgen("verify", "spring", "--deep", cwd=here).returncode == 0


def test_what_is_bought_again_moves_aside(here: Path, api: Simulated) -> None:
    with bucket() as place:
        run(here, api, place)
        code, summary, _ = run(here, api, place, "--again", "jug")
        assert (code, summary["done"], bought(api)) == (0, 3, 4)
        assert [name for name in objects(place) if "/" in name] == [*FILES, "superseded/jug.png"]
        assert batchgen("verify", "spring", "--deep", cwd=here).returncode == 0


def test_a_kill_between_the_copy_and_the_removal_of_a_move_is_made_good(
    here: Path, api: Simulated, watched: Watched
) -> None:
    run(here, api, watched.place)
    killed_at(
        watched, lambda request: request.method == "PUT" and "/superseded/" in request.path, here, api, "--again", "jug"
    )
    assert {"files/jug.png", "superseded/jug.png"} < set(objects(watched.place)), "copied, and not removed"
    code, summary, _ = run(here, api, watched.place)
    assert (code, summary["done"], bought(api)) == (0, 3, 4)
    assert [name for name in objects(watched.place) if "/" in name] == [*FILES, "superseded/jug.png"]
    assert batchgen("verify", "spring", "--deep", cwd=here).returncode == 0


def test_an_older_copy_of_a_run_folder_is_refused_where_the_ledger_in_the_store_knows_more(
    here: Path, api: Simulated
) -> None:
    with bucket() as place:
        run(here, api, place, "--only", "cup")
        folder = here / "output" / "spring"
        shutil.copytree(folder, here / "older")
        run(here, api, place)
        shutil.rmtree(folder)
        (here / "older").rename(folder)
        code, _, told = run(here, api, place)
        assert (code, bought(api)) == (6, 3)
        assert f"{place}/runs/spring/ledger.csv shows 2 purchases that the journal lacks" in told


def test_a_journal_is_rebuilt_without_fetching_anything(here: Path, api: Simulated, watched: Watched) -> None:
    run(here, api, watched.place)
    (here / "output" / "spring" / "journal.sqlite3").unlink()
    watched.requests.clear()
    recovered = batchgen("recover", "spring", "job.yaml", cwd=here)
    assert recovered.returncode == 0, recovered.stderr
    assert {request.method for request in watched.requests} == {"HEAD"}
    code, summary, _ = run(here, api, watched.place)
    assert (code, summary["done"], bought(api)) == (0, 3, 3)


def test_outputs_are_judged_where_they_are(here: Path, api: Simulated) -> None:
    manifest = MANIFEST.replace("defaults: {", "defaults: {expect: {blank: false}, ")
    (here / "job.yaml").write_text(manifest, encoding="utf-8")
    with bucket() as place:
        code, summary, _ = run(here, api, place)
        assert (code, summary["unjudged_files"]) == (0, 0)
        catalog = load_catalog()
        checked = check_files(here / "output" / "spring", catalog, Selection.parse(()), again=True)
        assert (checked.judged, checked.unreadable) == (4, ())
        assert not any((here / "output" / "spring" / "spool").iterdir())


def test_each_output_takes_one_request(here: Path, api: Simulated, watched: Watched) -> None:
    run(here, api, watched.place)
    assert sum("/files/" in request.path for request in watched.requests) == len(FILES)
    assert not any(request.lists for request in watched.requests)


def test_a_store_that_hangs_does_not_hold_up_an_interruption(here: Path, api: Simulated, watched: Watched) -> None:
    process = start("run", "job.yaml", "--base-url", api.url, "--output", f"{watched.place}/runs", *FAST, cwd=here)
    asked = []

    def hang(request: Request) -> int | None:
        if "/files/" in request.path:
            asked.append(request)
            process.wait()
        return None

    watched.fault = hang
    while not asked:
        time.sleep(0.05)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - begun < 15
    watched.fault = lambda _: None
    assert run(here, api, watched.place)[:2][0] == 0
    assert bought(api) == 3
