"""What several folders know of one item: one of them may have gone further, anything else is refused."""

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zlib import crc32

import pytest
from support.bought import START, Buyer, item, journal_of, list_items
from support.folders.merging import ledger_of, merged, mugs

from batchgen.api import Job, JobStatus
from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.records import Input, Item, State, StoredFile
from batchgen.journal import Attempt, Journal
from batchgen.journal.merging.marks import MARK_NAME, SCRATCH, begin_closing, merged_into
from batchgen.session.run_folder import open_run_folder
from batchgen.standing.last_run import LastRun, last_run_of

MUG = [item("mug")]


def bought(folder: Path, buy: Callable[[Buyer], object], items: Sequence[Item] = MUG) -> Path:
    """Make a run folder at a time of its own."""
    with journal_of(folder, items) as journal:
        buy(Buyer(journal, START + timedelta(milliseconds=crc32(folder.name.encode()))))
    return folder


def copied(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(name)))


def go_on(folder: Path, step: Callable[[Journal, Attempt], object], state: State = State.PROCESSING) -> Path:
    """Take the one job that is in flight in a folder further."""
    with closing(Journal(folder)) as journal, journal.transaction():
        (attempt,) = journal.unsettled(state)
        step(journal, attempt)
    return folder


def finish(journal: Journal, attempt: Attempt, sha256: str = "a") -> None:
    job = Job(str(attempt.job_id), JobStatus.COMPLETED, outputs=("https://api18.dev/v1/files/x?n=1",))
    journal.complete(attempt, job, 1, 1000, attempt.accepted_at)
    journal.record_file(attempt, StoredFile(1, "files/mug.png", 3, sha256 * 64))


def fail(journal: Journal, attempt: Attempt) -> None:
    journal.fail(attempt, Job(str(attempt.job_id), JobStatus.FAILED, error="no"), 1, 1000, attempt.accepted_at)


def refused(folders: list[Path], into: Path) -> str:
    with pytest.raises(RunFolderError) as error:
        merged(folders, into)
    assert not into.exists() or (into / "journal.sqlite3").exists()
    assert not any((folder / MARK_NAME).exists() for folder in folders), "a refused merge closes nothing"
    return str(error.value)


# ---- contradictions ------------------------------------------------------------------------------------------------


def test_an_item_that_was_bought_in_two_folders_is_refused(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.done("mug"))
    two = bought(tmp_path / "two", lambda buyer: buyer.reject("mug", "no"))
    assert f"mug was bought in {one} and, by itself, in {two}" in refused([one, two], tmp_path / "all")


def test_an_item_with_another_request_is_refused_bought_or_not(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: None)
    two = bought(tmp_path / "two", lambda buyer: None, [item("mug", "A green mug")])
    assert f"mug has another request in {one} than in {two}" in refused([one, two], tmp_path / "all")


def test_an_edited_item_whose_requests_were_bought_in_two_folders_is_refused(tmp_path: Path) -> None:
    edited = [item("mug", "A green mug")]
    one = bought(tmp_path / "one", lambda buyer: buyer.done("mug"))
    with closing(Journal(one)) as journal:
        list_items(journal, edited)
    two = bought(tmp_path / "two", lambda buyer: buyer.done("mug"), edited)
    assert "mug was bought in" in refused([one, two], tmp_path / "all")


def test_copies_that_both_went_on_are_refused(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.accept("mug"))
    two = copied(one, "two")
    go_on(one, finish)
    go_on(two, fail)
    message = refused([one, two], tmp_path / "all")
    assert f"a purchase of mug (job job-mug-1) stands otherwise in {one} than in {two}" in message


def test_one_job_of_two_items_is_refused(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.accept("mug"))
    two = bought(tmp_path / "two", lambda buyer: None, [item("cup")])
    with closing(Journal(two)) as journal, journal.transaction():
        buyer = Buyer(journal)
        buyer.journal.accept(buyer.intend("cup"), Job("job-mug-1", JobStatus.PROCESSING), b"{}", buyer.tick())
    assert "different purchases with one job (job job-mug-1)" in refused([one, two], tmp_path / "all")


def test_only_so_many_contradictions_are_told(tmp_path: Path) -> None:
    items = mugs(30)
    one = bought(tmp_path / "one", lambda buyer: [buyer.done(i.id) for i in items], items)
    two = bought(tmp_path / "two", lambda buyer: [buyer.done(i.id) for i in items], items)
    message = refused([one, two], tmp_path / "all")
    assert message.count("was bought in") == 10
    assert message.endswith("and more")


@pytest.mark.parametrize(
    ("fact", "value", "told"),
    [
        ("account", "beef", "different accounts (fingerprints f00d and beef)"),
        ("api", "https://other.example", "made at https://api18.dev, those in"),
        ("api", "simulator", "are simulated, those in"),
    ],
)
def test_money_that_does_not_belong_together_is_refused(tmp_path: Path, fact: str, value: str, told: str) -> None:
    one, two = (bought(tmp_path / name, lambda buyer: None) for name in ("one", "two"))
    with closing(Journal(two)) as journal, journal.transaction():
        journal.note(**{fact: value})
    assert told in refused([one, two], tmp_path / "all")


def test_what_proved_to_be_a_simulator_does_not_mix_with_what_proved_to_be_none(tmp_path: Path) -> None:
    folders = [bought(tmp_path / name, lambda buyer: None) for name in ("one", "two", "three")]
    for folder, proved in zip(folders, ("true", "", "false"), strict=True):
        with closing(Journal(folder)) as journal, journal.transaction():
            journal.note(simulated=proved)
    assert "are real, those in the other are simulated" in refused(folders, tmp_path / "all")


def test_runs_of_different_manifests_are_refused(tmp_path: Path) -> None:
    one, two = (bought(tmp_path / name, lambda buyer: None) for name in ("one", "two"))
    for folder in (one, two):
        with closing(Journal(folder)) as journal, journal.transaction():
            journal.note(manifest=f"/anywhere/{folder.name}.yaml")
    with pytest.raises(UsageError, match=r"is a run of one\.yaml, and .* one of two\.yaml"):
        merged([one, two], tmp_path / "all")


@pytest.mark.parametrize("other", ["", "s3://studio/2025/two", "s3://archive/2026/two", "gs://studio/2026/two"])
def test_runs_whose_outputs_do_not_lie_beside_each_other_are_refused(tmp_path: Path, other: str) -> None:
    folders = [bought(tmp_path / name, lambda buyer: None) for name in ("one", "two")]
    for folder, outputs in zip(folders, ("s3://studio/2026/one", other), strict=True):
        with closing(Journal(folder)) as journal, journal.transaction():
            journal.note(outputs=outputs)
    with pytest.raises(
        UsageError, match=r"the outputs of .*/two are in .*only runs whose outputs lie beside each other"
    ):
        merged(folders, tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_places_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: None)
    for into, told in ((one / "files" / "x", "within each other"), (tmp_path / "A B", "the folder's name")):
        with pytest.raises(UsageError, match=told):
            merged([one], into)
    with pytest.raises(UsageError, match="nothing to merge"):
        merged([one], one)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        merged([one], tmp_path / "file")


def test_a_folder_with_what_a_run_left_is_not_merged_into(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: None)
    (tmp_path / "all" / "files").mkdir(parents=True)
    (tmp_path / "all" / "files" / "mug.png").touch()
    with pytest.raises(RunFolderError, match="holds files of a run, but no journal"):
        merged([one], tmp_path / "all")


# ---- one has gone further ------------------------------------------------------------------------------------------


def test_of_two_records_of_a_purchase_the_later_one_counts(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.accept("mug"))
    two = go_on(copied(one, "two"), finish)
    merged([one, two], tmp_path / "all")
    assert ledger_of(tmp_path / "all") == ledger_of(two)
    with closing(Journal(tmp_path / "all")) as journal:
        assert journal.counts() == {State.DONE: 1}


def test_a_doubt_that_one_folder_has_resolved_is_resolved(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.doubt("mug", "cut off"))
    job = Job("job-x", JobStatus.PROCESSING)
    two = go_on(copied(one, "two"), lambda journal, attempt: journal.accept(attempt, job, b"", START), State.IN_DOUBT)
    for order in ([one, two], [two, one]):
        into = tmp_path / f"all-{order[0].name}"
        merged([copied(folder, f"{folder.name}-for-{into.name}") for folder in order], into)
        assert ledger_of(into) == ledger_of(two)


def test_what_one_folder_bought_once_more_is_taken_with_both_purchases(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.fail("mug", "no"))
    two = copied(one, "two")
    with closing(Journal(two)) as journal, journal.transaction():
        journal.requeue([State.FAILED], lambda _: True)
        Buyer(journal).done("mug")
    merged([one, two], tmp_path / "all")
    assert ledger_of(tmp_path / "all") == ledger_of(two)
    with closing(Journal(tmp_path / "all")) as journal:
        assert journal.counts() == {State.DONE: 1}


def test_a_folder_that_went_on_can_be_merged_again(tmp_path: Path) -> None:
    """As with a copy from another machine, which is brought over once more."""
    one = bought(tmp_path / "one", lambda buyer: buyer.accept("mug"))
    original, into = copied(one, "original"), tmp_path / "all"
    merged([one], into)
    shutil.rmtree(one)
    go_on(copied(go_on(original, finish), "one"), lambda *_: None, State.DONE)
    (original / "files").mkdir()
    assert merged([one], into).taken == (one,)
    assert ledger_of(into) == ledger_of(original)


def test_what_the_merged_folder_did_since_is_kept_when_the_merge_is_repeated(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.doubt("mug", "cut off"))
    two = bought(tmp_path / "two", lambda buyer: buyer.accept("cup"), [item("cup")])
    into = tmp_path / "all"
    merged([one, two], into)
    with closing(Journal(into)) as journal, journal.transaction():
        (doubt,) = journal.unsettled(State.IN_DOUBT)
        journal.settle_as_not_charged(doubt, START)
        (attempt,) = journal.unsettled(State.PROCESSING)
        fail(journal, attempt)
    after = ledger_of(into)
    assert merged([one, two], into).taken == ()
    assert ledger_of(into) == after


def test_merged_folders_can_be_merged(tmp_path: Path) -> None:
    parts = [bought(tmp_path / f"part-{n}", lambda buyer, n=n: buyer.done(f"mug-{n}"), [mugs(4)[n]]) for n in range(4)]
    merged(parts[:2], tmp_path / "first")
    merged(parts[2:], tmp_path / "second")
    merged([tmp_path / "first", tmp_path / "second"], tmp_path / "all")
    assert [row[1] for row in ledger_of(tmp_path / "all")] == [f"mug-{n}" for n in range(4)]
    assert merged(parts, tmp_path / "all").taken == ()
    with pytest.raises(RunFolderError, match=r"was merged into .*/all already; merge that folder"):
        merged(parts[:1], tmp_path / "other")


# ---- closed folders ------------------------------------------------------------------------------------------------


def test_a_merged_folder_is_closed_and_names_the_one_that_goes_on(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.done("mug"))
    before = {path.name: path.read_bytes() for path in one.iterdir() if path.is_file()}
    merged([one], tmp_path / "all")
    after = {path.name: path.read_bytes() for path in one.iterdir() if path.is_file() and path.name != ".lock"}
    assert after.keys() - before.keys() == {MARK_NAME}
    assert {name: after[name] for name in before if name != ".lock"} == {
        name: content for name, content in before.items() if name != ".lock"
    }
    assert merged_into(one) == tmp_path / "all"
    with pytest.raises(RunFolderError, match=f"was merged into {tmp_path}/all"), open_run_folder(one, create=True):
        pass
    with pytest.raises(RunFolderError, match="was merged into"):
        merged([bought(tmp_path / "other", lambda buyer: None)], one)


def test_a_mark_that_cannot_be_read_is_no_leave_to_buy(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: None)
    (one / MARK_NAME).write_text("{", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"merged\.json cannot be read"), open_run_folder(one, create=True):
        pass


def test_a_folder_that_is_half_merged_is_not_used_before_the_merge_is_repeated(tmp_path: Path) -> None:
    one, two = (bought(tmp_path / name, lambda buyer: None, [item(name)]) for name in ("one", "two"))
    into = tmp_path / "all"
    (into / SCRATCH).mkdir(parents=True)
    begin_closing(into, [one, two])
    with (
        pytest.raises(RunFolderError, match=f"repeat `batchgen merge {one} {two} --into {into}`"),
        open_run_folder(into, create=True),
    ):
        pass
    with pytest.raises(RunFolderError, match=f"has closed {two} too; repeat it with all"):
        merged([one], into)
    merged([one, two], into)
    with open_run_folder(into, create=False) as journal:
        assert len(journal.pending(0, 9)) == 2


def test_files_of_a_merge_that_was_killed_early_say_so(tmp_path: Path) -> None:
    one, into = bought(tmp_path / "one", lambda buyer: buyer.done("mug")), tmp_path / "all"
    (into / SCRATCH).mkdir(parents=True)
    (into / "files").mkdir()
    (into / "files" / "mug.png").touch()
    with pytest.raises(RunFolderError, match="was interrupted; repeat"), open_run_folder(into, create=True):
        pass
    assert merged([one], into).taken == (one,)


def test_a_merge_is_no_run(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: buyer.done("mug"))
    for _ in range(2):
        merged([one], tmp_path / "all")
        with closing(Journal(tmp_path / "all")) as journal:
            assert last_run_of(journal.facts()) == LastRun()


# ---- what else goes along ------------------------------------------------------------------------------------------


def test_a_chain_whose_parts_were_in_two_folders_goes_on(tmp_path: Path) -> None:
    spin = replace(item("spin", "It turns"), inputs=(Input("image", "mug", 1),))
    one = bought(tmp_path / "one", lambda buyer: buyer.done("mug"))
    two = bought(tmp_path / "two", lambda buyer: None, [spin])
    with closing(Journal(two)) as journal:
        assert journal.counts() == {State.SKIPPED: 1}
    merged([one, two], tmp_path / "all")
    with closing(Journal(tmp_path / "all")) as journal:
        assert [work.item.id for _, work in journal.pending(0, 9)] == ["spin"]


def test_what_only_the_receipts_of_a_folder_know_is_taken_along(tmp_path: Path) -> None:
    one = bought(tmp_path / "one", lambda buyer: None)
    older = (one / "journal.sqlite3").read_bytes()
    with closing(Journal(one)) as journal, journal.transaction():
        Buyer(journal).accept("mug")
    (one / "journal.sqlite3").write_bytes(older)
    told: list[str] = []
    merged([one], tmp_path / "all", told)
    assert any("receipts.jsonl knew more about 1 item" in text for text in told)
    assert (one / "journal.sqlite3").read_bytes() == older
    with closing(Journal(tmp_path / "all")) as journal:
        assert journal.knows_job("job-mug-1")
        assert journal.notices == ()


OLDER = """
INSERT INTO meta VALUES ('run', 'spring'), ('api', 'https://api18.dev'), ('account', 'f00d');
INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, state, attempts) VALUES
  ('mug', 'd1', 'hera-1.0-text-to-image', '{"prompt":"A mug"}', '{}', 'mug', 'm.yaml:3', '0.056', '[]', 'done', 1),
  ('jug', 'd2', 'hera-1.0-text-to-image', '{}', '{}', 'jug', 'm.yaml:4', '0.056', '[]', 'in_doubt', 1);
INSERT INTO output VALUES (1, 1, 'https://api18.dev/v1/files/job-1', 'files/mug.png', 3, 'abc');
"""
ATTEMPTS = {
    1: """
INSERT INTO attempt (item, number, state, estimated, charged, job_id, account, tables, submitted_at) VALUES
  (1, 1, 'done', '0.056', '0.07', 'job-1', 'f00d', '1', 1769903999000),
  (2, 1, 'in_doubt', '0.056', NULL, NULL, 'f00d', '1', 1769903999000);
""",
    4: """
INSERT INTO attempt
  (item, number, state, estimated, charged, job_id, account, catalog_version, submitted_at, purchase, reserved) VALUES
  (1, 1, 'done', '0.056', '0.07', 'job-1', 'f00d', '1', 1769903999000, 'aaaaaaaaaaaaaaaa', '0.06'),
  (2, 1, 'in_doubt', '0.056', NULL, NULL, 'f00d', '1', 1769903999000, 'bbbbbbbbbbbbbbbb', '0.06');
""",
}


@pytest.mark.parametrize("version", ATTEMPTS)
def test_a_journal_of_an_older_version_is_led_forward_in_a_copy(tmp_path: Path, version: int) -> None:
    """And known again where it had no names for its purchases."""
    one, into = tmp_path / "one", tmp_path / "all"
    one.mkdir()
    tables = Path(__file__).parents[1] / "journal" / "journals" / f"version-{version}.sql"
    with closing(sqlite3.connect(one / "journal.sqlite3")) as db:
        db.executescript(tables.read_text(encoding="utf-8"))
        db.executescript(ATTEMPTS[version] + OLDER + f"PRAGMA user_version = {version};")
    before = (one / "journal.sqlite3").read_bytes()
    merged([one], into)
    assert (one / "journal.sqlite3").read_bytes() == before
    after = ledger_of(into)
    assert after == ledger_of(one)
    merged([one], into)
    assert ledger_of(into) == after
