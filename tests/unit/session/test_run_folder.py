"""A run folder: opened by one process, logged into, and bound to one API and one account."""

import logging
import os
from contextlib import closing
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.run_log import LOG_NAME, RunLog
from batchgen.journal import FILE_NAME, SIMULATOR, Binding, Journal
from batchgen.session.run_folder import bind_account, note_simulated, open_run_folder

REAL = Binding("https://api18.dev", "aaaaaaaaaaaa")
OTHER_KEY = Binding("https://api18.dev", "bbbbbbbbbbbb")
OTHER_API = Binding("https://api.example", "aaaaaaaaaaaa")
PRETEND = Binding(SIMULATOR, "cccccccccccc")


def facts(folder: Path) -> dict[str, str]:
    with open_run_folder(folder, create=False) as journal:
        return journal.facts()


# ---- opening ------------------------------------------------------------------------------------------------------


def test_a_folder_is_made_with_its_parents_and_opened_again(tmp_path: Path) -> None:
    folder = tmp_path / "output" / "spring"
    with open_run_folder(folder, create=True) as journal, journal.transaction():
        journal.note(run="spring")
    with open_run_folder(folder, create=True) as journal:
        assert journal.facts() == {"run": "spring"}
    assert facts(folder) == {"run": "spring"}


def test_nothing_is_made_where_nothing_may_be(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run folder"), open_run_folder(tmp_path / "absent", create=False):
        pass
    assert not (tmp_path / "absent").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match=f"has no {FILE_NAME}"), open_run_folder(tmp_path / "empty", create=False):
        pass
    assert not (tmp_path / "empty" / FILE_NAME).exists()


@pytest.mark.parametrize("below", [Path("taken"), Path("taken/spring")])
def test_a_file_in_the_way_is_a_usage_error(tmp_path: Path, below: Path) -> None:
    (tmp_path / "taken").write_text("a note")
    with pytest.raises(UsageError, match="a file is in its way"), open_run_folder(tmp_path / below, create=True):
        pass


def test_an_open_folder_is_owned_and_free_again_afterwards(tmp_path: Path) -> None:
    taken = pytest.raises(RunFolderError, match=f"in use by another batchgen.*{os.getpid()}")
    with open_run_folder(tmp_path, create=True), taken, open_run_folder(tmp_path, create=True):
        pass
    with open_run_folder(tmp_path, create=False):
        pass


def test_an_error_inside_closes_the_journal_and_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), open_run_folder(tmp_path, create=True):
        raise KeyError("inside")
    assert not (tmp_path / f"{FILE_NAME}-wal").exists()
    with open_run_folder(tmp_path, create=False):
        pass


def test_the_log_is_one_line_a_record_in_utc_without_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("batchgen")
    monkeypatch.setattr(log, "propagate", False)  # half a pair cannot travel from one test process to another
    before = (list(log.handlers), log.level)
    with open_run_folder(tmp_path, create=True):
        log.info("a prompt\nwith \x1b[31mcolour\u202e and half a pair \ud800")
        log.debug("not wanted")
    log.info("after the end")
    lines = (tmp_path / LOG_NAME).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("Z INFO a prompt with  [31mcolour  and half a pair  ")
    assert (list(log.handlers), log.level) == before


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_books_are_for_their_owner_and_his_group(tmp_path: Path, umask: int) -> None:
    private = oct(0o640 & ~umask)
    before = os.umask(umask)
    try:
        with open_run_folder(tmp_path, create=True) as journal:
            with journal.transaction():
                journal.note(run="spring")
            found = modes(tmp_path)
    finally:
        os.umask(before)
    del found[".lock"]  # others see in it who is at work
    names = {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "receipts.jsonl", LOG_NAME}
    assert found == dict.fromkeys(names, private)


def test_books_that_others_may_read_are_closed_to_them_when_they_are_opened(tmp_path: Path) -> None:
    with open_run_folder(tmp_path, create=True):
        (tmp_path / f"{LOG_NAME}.1").write_text("of an earlier night")
    for path in tmp_path.iterdir():
        path.chmod(0o666)
    with open_run_folder(tmp_path, create=False):
        found = modes(tmp_path)
    assert found.pop(".lock") == "0o666"
    assert len(found) == 6
    assert set(found.values()) == {"0o640"}


# ---- binding ------------------------------------------------------------------------------------------------------


# Every state in which money was, or may have been, spent; also that of a refund, whose job the API may ask after.
BOUGHT = ("submitting", "processing", "ready", "done", "failed", "in_doubt", "lost")
UNSPENT = ("pending", "rejected", "released")


def folder_of(folder: Path, binding: Binding, state: str) -> None:
    """A folder bound to `binding` whose one item came to `state`."""
    with journal_of(folder, [item("mug")]) as journal:
        buyer = Buyer(journal)
        match state:
            case "submitting":
                buyer.intend("mug")
            case "processing":
                buyer.accept("mug")
            case "ready" | "done":
                getattr(buyer, state)("mug")
            case "failed":
                buyer.fail("mug", "no")
            case "in_doubt":
                buyer.doubt("mug", "reset")
            case "lost":
                buyer.lose("mug", "404")
            case "rejected":
                buyer.reject("mug", "too long")
            case "released":
                journal.cancel_intent(buyer.intend("mug"))
        journal.note(run="spring", api=binding.api, account=binding.account, simulated="false")


def try_bind(folder: Path, binding: Binding, *, rotated_key: bool = False) -> None:
    journal = Journal(folder)
    try:
        bind_account(journal, "spring", binding, rotated_key=rotated_key)
    finally:
        journal.close()


@pytest.mark.parametrize("binding", [REAL, PRETEND])
def test_a_new_folder_is_bound_to_what_it_begins_with(tmp_path: Path, binding: Binding) -> None:
    with open_run_folder(tmp_path, create=True) as journal:
        bind_account(journal, "spring", binding, rotated_key=False)
    assert facts(tmp_path) == {"run": "spring", "api": binding.api, "account": binding.account, "simulated": ""}
    try_bind(tmp_path, binding)


@pytest.mark.parametrize("state", BOUGHT)
def test_a_purchase_holds_a_folder_to_its_api_and_account(tmp_path: Path, state: str) -> None:
    folder_of(tmp_path, REAL, state)
    before = facts(tmp_path)
    with pytest.raises(RunFolderError, match=r"holds 1 purchase of another account .*--rotated-key"):
        try_bind(tmp_path, OTHER_KEY)
    for rotated in (False, True):
        with pytest.raises(RunFolderError, match=r"1 purchase made at https://api18\.dev, not at https://api\.example"):
            try_bind(tmp_path, OTHER_API, rotated_key=rotated)
    assert facts(tmp_path) == before
    try_bind(tmp_path, REAL)


@pytest.mark.parametrize("state", ["processing", "done"])
def test_a_rotated_key_takes_the_purchases_over(tmp_path: Path, state: str) -> None:
    folder_of(tmp_path, REAL, state)
    try_bind(tmp_path, OTHER_KEY, rotated_key=True)
    assert facts(tmp_path) == {"run": "spring", "api": REAL.api, "account": OTHER_KEY.account, "simulated": "false"}
    try_bind(tmp_path, OTHER_KEY)


@pytest.mark.parametrize("state", UNSPENT)
@pytest.mark.parametrize("binding", [OTHER_KEY, OTHER_API, PRETEND])
def test_a_folder_without_a_purchase_may_change_hands(tmp_path: Path, state: str, binding: Binding) -> None:
    folder_of(tmp_path, REAL, state)
    try_bind(tmp_path, binding)
    proved = "false" if binding.api == REAL.api else ""
    expected = {"run": "spring", "api": binding.api, "account": binding.account, "simulated": proved}
    assert facts(tmp_path) == expected


@pytest.mark.parametrize("state", BOUGHT)
@pytest.mark.parametrize(("had", "has"), [(REAL, PRETEND), (PRETEND, REAL)])
def test_simulated_and_real_money_never_mix(tmp_path: Path, state: str, had: Binding, has: Binding) -> None:
    folder_of(tmp_path, had, state)
    for rotated in (False, True):
        with pytest.raises(RunFolderError, match="never mix"):
            try_bind(tmp_path, has, rotated_key=rotated)
    assert facts(tmp_path)["api"] == had.api


def try_mark(folder: Path, *, simulated: bool | None) -> str:
    with closing(Journal(folder)) as journal:
        note_simulated(journal, simulated=simulated)
        return journal.facts()["simulated"]


LOCAL = Binding("http://127.0.0.1:8018", "aaaaaaaaaaaa")


@pytest.mark.parametrize("state", ["pending", "done"])
def test_what_proves_to_be_a_simulator_marks_the_folder_once_it_is_known(tmp_path: Path, state: str) -> None:
    folder_of(tmp_path, LOCAL, state)
    with closing(Journal(tmp_path)) as journal, journal.transaction():
        journal.note(simulated="")
    assert try_mark(tmp_path, simulated=None) == ""
    assert try_mark(tmp_path, simulated=True) == "true"
    assert try_mark(tmp_path, simulated=None) == "true"


@pytest.mark.parametrize("first", [True, False])
def test_one_address_does_not_change_its_nature_once_something_was_bought(tmp_path: Path, *, first: bool) -> None:
    folder_of(tmp_path, LOCAL, "pending")
    assert try_mark(tmp_path, simulated=not first)
    assert try_mark(tmp_path, simulated=first) == str(first).lower(), "nothing was bought yet"
    with closing(Journal(tmp_path)) as journal, journal.transaction():
        Buyer(journal).accept("mug")
    assert try_mark(tmp_path, simulated=first) == str(first).lower()
    with pytest.raises(RunFolderError, match=r"1 purchase, .*127\.0\.0\.1:8018 is .*now.*never mix"):
        try_mark(tmp_path, simulated=not first)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_ends_no_run(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "batchgen.log")
    log.setStream(Path("/dev/full").open("w", encoding="utf-8")).close()  # noqa: SIM115 - the log closes it
    log.emit(logging.LogRecord("batchgen", logging.INFO, "here", 1, "a line", None, None))
    log.close()
