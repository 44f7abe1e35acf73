"""Purchases that are asked for under another id: found, and adopted with their files; a crash anywhere is mended."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from support.bought import MODEL, Buyer, item, journal_of

from batchgen.api import Job, JobStatus
from batchgen.cli.boundary import guarded
from batchgen.core.credentials import ApiKey
from batchgen.core.files import sync_folder
from batchgen.core.records import Input, Item, State, StoredFile
from batchgen.item_table import index_items, write_items
from batchgen.journal import FILE_NAME, BuyAgain, Journal, SentInput
from batchgen.journal.queries.comparison import Buying, compare
from batchgen.session.file_moves import finish_moves
from batchgen.session.run_folder import open_run_folder
from batchgen.store import LocalDisk, local_disk
from batchgen.virtual import make_dependant

KEY = "api18_Renames000000000"
NOWHERE = "http://127.0.0.1:9"


def staged(folder: Path, items: Iterable[Item]) -> Path:
    path = folder / "items.sqlite3"
    write_items(path, items)
    index_items(path)
    return path


def renamed(folder: Path, items: Iterable[Item]) -> list[tuple[str, str]]:
    """Which purchases of the journal would be adopted: the old id, and the new one."""
    table = staged(folder, items)
    with compare(table, folder / "run" / FILE_NAME, lambda *_: True) as comparison:
        rows = comparison._db.execute(
            "SELECT i.id, s.id FROM temp.rename r JOIN item i ON i.key = r.item JOIN requested.item s USING (position)"
            " ORDER BY r.position"
        ).fetchall()
        assert comparison.renames().items == len(rows)
    return [(old, new) for old, new in rows]


def fetched(journal: Journal, buyer: Buyer, name: str, outputs: int = 1) -> None:
    """A purchase that is done, with files on disk that say whose they are."""
    attempt = buyer.ready(name, outputs)
    for number in range(1, outputs + 1):
        path = f"files/{attempt.work.item.path}{f'@{number}' if outputs > 1 else ''}.png"
        content = f"{attempt.work.item.body} {number}".encode()
        file = journal.path.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        journal.record_file(attempt, StoredFile(number, path, len(content), hashlib.sha256(content).hexdigest()))


def files_of(folder: Path) -> dict[str, str]:
    """The prompt of each file that is on disk, which must be where the journal has it."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        known = db.execute(
            "SELECT o.path, o.sha256 FROM output o WHERE path >= 'files/' AND path < 'files0'"
        ).fetchall()
    found = {path: (folder / path).read_bytes() for path, _ in known}
    assert {path: hashlib.sha256(content).hexdigest() for path, content in found.items()} == dict(known)
    on_disk = {p.relative_to(folder).as_posix() for p in (folder / "files").rglob("*") if p.is_file()}
    assert on_disk == set(found)
    return {path: content.decode().split('"prompt":"')[1].split('"')[0] for path, content in found.items()}


# ---- finding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "pairs"),
    [
        (["hero"], ["hero-shot"], [("hero", "hero-shot")]),
        (["a"], ["A"], [("a", "A")]),
        (["x~1", "x~2", "x~3"], ["x"], [("x~1", "x")]),
        (["x"], ["x~1", "x~2", "x~3"], [("x", "x~1")]),
        (["wave~2"], ["wave"], [("wave~2", "wave")]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["a"], []),
        (["a"], ["a", "b"], []),
    ],
)
def test_a_request_under_another_id_is_a_rename(
    tmp_path: Path, before: list[str], after: list[str], pairs: list[tuple[str, str]]
) -> None:
    with journal_of(tmp_path / "run", map(item, before)) as journal:
        for name in before:
            Buyer(journal).done(name)
    assert renamed(tmp_path, map(item, after)) == pairs


def test_a_row_that_is_put_in_shifts_the_ids_behind_it(tmp_path: Path) -> None:
    prompts = ["one", "two", "three"]
    with journal_of(tmp_path / "run", [item(f"item-{n}", p) for n, p in enumerate(prompts, 1)]) as journal:
        for n in (1, 2, 3):
            Buyer(journal).done(f"item-{n}")
    shifted = [item(f"item-{n}", p) for n, p in enumerate(["new", *prompts], 1)]
    assert renamed(tmp_path, shifted) == [("item-1", "item-2"), ("item-2", "item-3"), ("item-3", "item-4")]
    with compare(tmp_path / "items.sqlite3", tmp_path / "run" / FILE_NAME, lambda *_: True) as comparison:
        assert sorted((g.standing, g.buys, g.items) for g in comparison.groups()) == [
            ("changed", True, 1),
            ("renamed", False, 3),
        ]
        assert comparison.unlisted() == 0
        assert comparison.edited_ids(9) == ["item-1"]


def test_what_was_edited_is_still_in_the_manifest(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("mug", "red"), item("jug", "white")]) as journal:
        for name in ("mug", "jug"):
            Buyer(journal).done(name)
    write_items(tmp_path / "items.sqlite3", [item("mug", "blue")])
    with compare(tmp_path / "items.sqlite3", tmp_path / "run" / FILE_NAME, lambda *_: True) as comparison:
        assert comparison.edited_ids(9) == ["mug"]
        assert comparison.unlisted() == 1


def test_what_is_furthest_on_is_adopted_first_then_the_lowest_id(tmp_path: Path) -> None:
    steps = ["lose", "doubt", "accept", "ready", "done"]
    names = [f"{n}-{step}" for n, step in enumerate([*steps, "fail", "reject"])]
    with journal_of(tmp_path / "run", [*map(item, names), item("0-z"), item("0-y")]) as journal:
        buyer = Buyer(journal)
        for name in names:
            step = name.partition("-")[2]
            getattr(buyer, step)(name, *(["why"] if step in ("lose", "doubt", "fail", "reject") else []))
        buyer.done("0-z")
        buyer.done("0-y")
    new = [item(f"new-{n}") for n in range(8)]
    order = ["0-y", "0-z", "4-done", "3-ready", "2-accept", "1-doubt", "0-lose"]
    assert renamed(tmp_path, new) == list(zip(order, [i.id for i in new], strict=False))
    assert renamed(tmp_path, new[:2]) == [("0-y", "new-0"), ("0-z", "new-1")]


def test_only_what_is_wanted_and_nothing_of_pretended_money_is_a_rename(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("a"), item("b", "other")]) as journal:
        for name in ("a", "b"):
            Buyer(journal).done(name)
    table = staged(tmp_path, [item("x"), item("y", "other")])
    with compare(table, tmp_path / "run" / FILE_NAME, lambda id_, _: id_ == "y") as comparison:
        assert comparison.renames().items == 1
    with compare(table, tmp_path / "run" / FILE_NAME, lambda *_: True, with_renames=False) as comparison:
        assert comparison.renames().items == 0
    with closing(Journal(tmp_path / "run")) as journal, journal.transaction():
        journal.note(api="simulator", account="f00d")
    assert renamed(tmp_path, [item("x")]) == []


def test_what_another_run_has_bought_and_a_wanted_second_purchase_are_no_renames(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("a")]) as journal:
        Buyer(journal).done("a")
    for statement in ("INSERT INTO skipped VALUES ('a', ?)", "INSERT INTO redo VALUES (1, 'spring', ?)"):
        table = staged(tmp_path, [item("x")])
        with closing(sqlite3.connect(table)) as db, db:
            db.execute(statement, (item("a").digest,))
        with compare(table, tmp_path / "run" / FILE_NAME, lambda *_: True) as comparison:
            assert comparison.renames().items == 0


def test_what_is_skipped_now_and_was_bought_under_another_id_is_a_rename(tmp_path: Path) -> None:
    still = item("still")
    clip = make_dependant("clip", (still, 1))
    film = replace(clip, id="film", path="film")
    with journal_of(tmp_path / "run", [still, clip]) as journal:
        Buyer(journal).done("still")
        journal.settle_chains()
        Buyer(journal).done("clip")
        journal.requeue_for([], BuyAgain(("still",)))
        Buyer(journal).fail("still", "the model gave up")
    # `--only` lists the film without asking about it.
    with journal_of(tmp_path / "run", [still, film]) as journal:
        assert journal.db.execute("SELECT state FROM item WHERE id = 'film'").fetchone() == ("skipped",)
    assert renamed(tmp_path, [still, film]) == [("clip", "film")]
    retry = Buying(frozenset({State.FAILED}))
    with compare(tmp_path / "items.sqlite3", tmp_path / "run" / FILE_NAME, lambda *_: True, retry) as comparison:
        assert [(i.id, i.standing, i.buys) for i in comparison.items()] == [
            ("still", "failed", True),
            ("film", "renamed", False),
        ]
    assert adopted(tmp_path, [still, film]) == 1
    assert stand(tmp_path) == {"still": "failed", "film": "done"}


# ---- adopting -----------------------------------------------------------------------------------------------------


def adopted(folder: Path, items: Iterable[Item]) -> int:
    table = staged(folder, items)
    with open_run_folder(folder / "run", create=False) as journal:
        count = journal.apply_renames(table)
        finish_moves(LocalDisk(folder / "run"), journal)
        journal.list_items(table)
        assert not journal.db.execute("SELECT 1 FROM move").fetchone()
    return count


def stand(folder: Path) -> dict[str, str]:
    with closing(Journal(folder / "run")) as journal:
        return dict(journal.db.execute("SELECT id, state FROM item WHERE position IS NOT NULL"))


def bought(folder: Path, *items: Item, outputs: int = 1) -> None:
    with journal_of(folder / "run", items) as journal:
        for i in items:
            fetched(journal, Buyer(journal), i.id, outputs)


def named(old: Item, name: str) -> Item:
    return replace(old, id=name, path=name)


A, B, C = item("a", "first"), item("b", "second"), item("c", "third")


@pytest.mark.parametrize(
    ("after", "files"),
    [
        ([named(A, "b"), named(B, "a"), C], {"a": "second", "b": "first", "c": "third"}),
        ([named(A, "b"), named(B, "c"), named(C, "d")], {"b": "first", "c": "second", "d": "third"}),
        ([named(A, "A"), B, C], {"A": "first", "b": "second", "c": "third"}),
        ([named(A, "v1.5"), named(B, "x/y"), C], {"v1.5": "first", "x/y": "second", "c": "third"}),
        ([A, B, C], {"a": "first", "b": "second", "c": "third"}),
    ],
    ids=["swap", "chain", "case", "dots and folders", "nothing"],
)
@pytest.mark.parametrize("outputs", [1, 2])
def test_files_follow_what_is_adopted(tmp_path: Path, after: list[Item], files: dict[str, str], outputs: int) -> None:
    bought(tmp_path, A, B, C, outputs=outputs)
    adopted(tmp_path, after)
    tails = [".png"] if outputs == 1 else ["@1.png", "@2.png"]
    wanted = {f"files/{name}{tail}": prompt for name, prompt in files.items() for tail in tails}
    assert files_of(tmp_path / "run") == wanted
    assert set(stand(tmp_path).values()) == {"done"}
    assert renamed(tmp_path, after) == []


def test_every_purchase_keeps_a_number_of_its_own_and_the_receipts_know(tmp_path: Path) -> None:
    bought(tmp_path, A, B)
    edited = item("b", "edited")
    with journal_of(tmp_path / "run", [A, edited]) as journal:
        buyer = Buyer(journal)
        buyer.fail("b", "no")
    adopted(tmp_path, [named(A, "b")])  # `b` has two purchases already
    with closing(Journal(tmp_path / "run")) as journal:
        rows = journal.db.execute(
            "SELECT i.id, i.digest, a.number FROM attempt a JOIN item i ON i.key = a.item ORDER BY a.number"
        ).fetchall()
        assert rows == [("b", B.digest, 1), ("b", edited.digest, 2), ("b", A.digest, 3)]
        (purchase,) = journal.db.execute("SELECT purchase FROM attempt WHERE number = 3").fetchone()
        assert journal.owner_of("superseded/b.png") is not None
    lines = [json.loads(line) for line in (tmp_path / "run" / "receipts.jsonl").read_text().splitlines()]
    assert {"renamed": purchase, "item": "b", "attempt": 3} in lines
    assert [line["path"] for line in lines if line.get("stored") == purchase] == ["files/a.png", "files/b.png"]
    assert files_of(tmp_path / "run") == {"files/b.png": "first"}


@pytest.mark.parametrize("step", ["accept", "ready", "doubt", "intend", "lose"])
def test_what_is_in_flight_or_in_doubt_is_carried_along(tmp_path: Path, step: str) -> None:
    with journal_of(tmp_path / "run", [A]) as journal:
        getattr(Buyer(journal), step)("a", *(["why"] if step in ("doubt", "lose") else []))
        spend = journal.spend()
    assert adopted(tmp_path, [named(A, "hero")]) == 1
    with closing(Journal(tmp_path / "run")) as journal:
        ((state, path, number),) = journal.db.execute(
            "SELECT i.state, i.path, a.number FROM item i JOIN attempt a ON a.item = i.key AND a.state = i.state"
        ).fetchall()
        assert (path, number) == ("hero", 1)
        assert journal.spend() == spend
        assert state == {
            "accept": "processing", "ready": "ready", "doubt": "in_doubt", "intend": "submitting", "lose": "lost",
        }[step]  # fmt: skip


def test_an_item_that_was_listed_and_never_bought_makes_room(tmp_path: Path) -> None:
    bought(tmp_path, A)
    with journal_of(tmp_path / "run", [named(A, "hero")]):
        pass  # listed, and the run ended before it was bought
    assert adopted(tmp_path, [named(A, "hero")]) == 1
    assert stand(tmp_path) == {"hero": "done"}


class Crash(Exception):  # noqa: N818 - no error
    pass


@pytest.mark.thorough
@pytest.mark.parametrize("at", range(12))
def test_a_crash_anywhere_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Every rename and every commit may be the last thing that happens."""
    bought(tmp_path, A, B, C)
    after = [named(A, "b"), named(B, "c"), named(C, "a")]
    table = staged(tmp_path, after)
    left = at

    def counted(step: Callable[..., None]) -> Callable[..., None]:
        def taken(*arguments: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash
            step(*arguments)

        return taken

    journal = Journal(tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted(Path.rename))
        patched.setattr(local_disk, "sync_folder", counted(sync_folder))
        patched.setattr(Journal, "commit", counted(Journal.commit))
        try:
            journal.apply_renames(table)
            finish_moves(LocalDisk(tmp_path / "run"), journal)
        except Crash:
            pass
    journal.db.close()
    journal.receipts.close()
    with open_run_folder(tmp_path / "run", create=False) as journal:  # as any command does that owns the folder
        assert not journal.db.execute("SELECT 1 FROM move").fetchone()
    adopted(tmp_path, after)
    assert files_of(tmp_path / "run") == {"files/a.png": "third", "files/b.png": "first", "files/c.png": "second"}


@pytest.mark.parametrize("finished", [True, False])
def test_an_older_journal_learns_of_it_from_the_receipts(tmp_path: Path, finished: bool) -> None:
    bought(tmp_path, A, B)
    folder, after = tmp_path / "run", [named(A, "b"), named(B, "a")]
    older = (folder / FILE_NAME).read_bytes()
    if finished:
        adopted(tmp_path, after)
    else:
        with closing(Journal(folder)) as journal:
            journal.apply_renames(staged(tmp_path, after))
    (folder / FILE_NAME).write_bytes(older)
    adopted(tmp_path, after)
    assert files_of(folder) == {"files/a.png": "second", "files/b.png": "first"}
    assert stand(tmp_path) == {"a": "done", "b": "done"}


def test_a_file_that_somebody_removed_or_put_there_harms_nobody(tmp_path: Path) -> None:
    bought(tmp_path, A, B)
    (tmp_path / "run" / "files" / "a.png").unlink()
    (tmp_path / "run" / "files" / "hero.png").write_bytes(b"somebody's own")
    adopted(tmp_path, [named(A, "z"), named(B, "hero")])
    assert (tmp_path / "run" / "superseded" / "hero.png").read_bytes() == b"somebody's own"
    assert B.body in (tmp_path / "run" / "files" / "hero.png").read_text()
    with closing(Journal(tmp_path / "run")) as journal:
        assert journal.owner_of("files/z.png") is not None, "missing, and said to be so by verify"


# ---- the commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest whose only item was bought as `hero`, and is `hero-shot` now."""
    monkeypatch.setenv("API18_KEY", KEY)
    monkeypatch.setenv("BATCHGEN_BASE_URL", NOWHERE)
    bought_as = item("hero", "A mug")
    folder = tmp_path / "output" / "job"
    with journal_of(folder, [bought_as], run="job") as journal:
        fetched(journal, Buyer(journal), "hero")
        journal.note(api=NOWHERE, account=ApiKey(KEY).fingerprint)
    items = f"  - {{id: hero-shot, model: {MODEL}, prompt: A mug}}\n"
    text = f"version: 1\nname: job\nrun: {{max_cost: 5, give_up_after: 1}}\nitems:\n{items}"
    path = tmp_path / "job.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_plan_tells_and_run_asks_and_yes_is_no_answer(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["plan", str(shot), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["new"], plan["changed"], plan["renamed"], plan["estimated_usd"]) == (0, 0, 1, "0.00")
    assert guarded(["plan", str(shot), "--detailed-exitcode"]) == 10
    assert "1 item was already bought under another id (hero as hero-shot)" in capsys.readouterr().out
    for more in ([], ["--yes"]):
        assert guarded(["run", str(shot), *more]) == 2
        told = capsys.readouterr().err
        assert "hero as hero-shot" in told
        assert "--renamed adopt" in told
        assert "--renamed buy" in told
    assert files_of(shot.parent / "output" / "job") == {"files/hero.png": "A mug"}


def test_adopting_buys_nothing(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["run", str(shot), "--renamed", "adopt", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["done"], summary["charged_usd"]) == (1, "0.056")
    assert files_of(shot.parent / "output" / "job") == {"files/hero-shot.png": "A mug"}
    assert guarded(["run", str(shot), "--json"]) == 0


@pytest.mark.thorough
def test_buying_again_is_what_was_asked_for(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["run", str(shot), "--renamed", "buy", "--quiet"]) == 5, "nobody listens at that address"
    assert files_of(shot.parent / "output" / "job") == {"files/hero.png": "A mug"}
    capsys.readouterr()
    assert guarded(["plan", str(shot), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["renamed"] == 1, "it is asked again until it was bought"


def test_an_edited_item_without_an_id_is_told_and_not_asked(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shot.read_text(encoding="utf-8").replace("id: hero-shot, ", "").replace("A mug", "A red mug")
    shot.write_text(text, encoding="utf-8")
    assert guarded(["plan", str(shot), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["new"], plan["renamed"]) == (1, 0)
    assert guarded(["plan", str(shot)]) == 0
    assert "1 item bought before, but no longer in the manifest" in capsys.readouterr().out


def test_what_was_made_with_an_earlier_output_is_stale_also_after_its_source_was_renamed(tmp_path: Path) -> None:
    still, photo = item("still"), item("photo")
    clip, same = make_dependant("clip", (still, 1)), make_dependant("clip", (photo, 1))
    with journal_of(tmp_path / "run", [still, clip]) as journal:
        fetched(journal, Buyer(journal), "still")
        journal.settle_chains()
        buyer = Buyer(journal)
        sent = SentInput(Input("images/0", "still", 1), "job-still-1", "https://files.example/1")
        attempt = journal.record_intent(buyer.work("clip"), "f00d", "1", buyer.tick(), inputs=[sent])
        attempt = journal.accept(attempt, Job("job-clip", JobStatus.PROCESSING), b"{}", buyer.tick())
        job = Job("job-clip", JobStatus.COMPLETED, outputs=("https://api18.dev/v1/files/job-clip",))
        journal.complete(attempt, job, 1, 1, buyer.tick())
        journal.record_file(attempt, StoredFile(1, "files/clip.png", 4, hashlib.sha256(b"clip").hexdigest()))
    (tmp_path / "run" / "files" / "clip.png").write_bytes(b"clip")
    assert stale(tmp_path, [still, clip]) == 0
    assert adopted(tmp_path, [photo, same]) == 1
    assert stand(tmp_path) == {"photo": "done", "clip": "done"}
    assert stale(tmp_path, [photo, same]) == 0
    with journal_of(tmp_path / "run", [photo, same]) as journal:
        journal.requeue_for([], BuyAgain(("photo",)))
        Buyer(journal).done("photo")
    assert stale(tmp_path, [photo, same]) == 1


def stale(folder: Path, items: Iterable[Item]) -> int:
    with compare(staged(folder, items), folder / "run" / FILE_NAME, lambda *_: True) as comparison:
        return comparison.stale()
