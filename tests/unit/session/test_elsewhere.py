"""Purchases that are known elsewhere: a changed name, a moved or deleted output folder, an older copy put back."""

import logging
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest
from support.bought import MODEL, Buyer, item, journal_of

from batchgen.catalog import load_catalog
from batchgen.cli.boundary import guarded
from batchgen.core.credentials import ApiKey
from batchgen.core.errors import ManifestError
from batchgen.core.records import Item
from batchgen.journal import Binding, Journal
from batchgen.session.checks.elsewhere import Known, known_elsewhere
from batchgen.session.checks.register import Register
from batchgen.session.prepare import prepare
from batchgen.session.request import RunRequest

KEY = "api18_Elsewhere0000000"
NOWHERE = "http://127.0.0.1:9"
REAL = Binding(NOWHERE, ApiKey(KEY).fingerprint)
NAMES = ("a", "b", "c")


def named(name: str) -> Item:
    return item(name, f"A {name}")


def bought(folder: Path, names: Iterable[str] = NAMES, *, binding: Binding = REAL) -> Path:
    """A run folder of real money in which these items are done."""
    with journal_of(folder, map(named, names), run=folder.name) as journal:
        buyer = Buyer(journal)
        for name in buyer.works:
            buyer.done(name)
        journal.note(api=binding.api, account=binding.account)
    return folder


def manifest_of(folder: Path, names: Iterable[str] = NAMES, name: str = "spring") -> Path:
    lines = "".join(f"  - {{id: {n}, model: {MODEL}, prompt: A {n}}}\n" for n in names)
    path = folder / "m.yaml"
    path.write_text(
        f"version: 1\nname: {name}\nrun: {{max_cost: 9, give_up_after: 1}}\nitems:\n{lines}", encoding="utf-8"
    )
    return path


def known(manifest: Path, register: Register, *skip: Path, **more: object) -> list[Known]:
    request = RunRequest(manifest, {}, load_catalog(), str(manifest.parent / "output"), skip_bought=skip, **more)  # type: ignore[arg-type]
    with prepare(request) as ready:
        if not (ready.folder / "journal.sqlite3").exists():
            return known_elsewhere(ready, REAL, None, register)
        with closing(Journal(ready.folder)) as journal:
            return known_elsewhere(ready, REAL, journal, register)


NONE = Register(None)


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "state" / "runs.sqlite3")


def noted(register: Register, folder: Path) -> None:
    with closing(Journal(folder)) as journal:
        register.remember(journal)


# ---- a new run folder ---------------------------------------------------------------------------------------------


def test_a_folder_beside_it_knows_what_would_be_bought(tmp_path: Path) -> None:
    other = bought(tmp_path / "output" / "autumn")
    (found,) = known(manifest_of(tmp_path), NONE)
    assert (found.path, found.items) == (other, 3)
    assert found.sentence == f"3 items of spring ($0.168 in all) were already bought in {other}"
    (found,) = known(manifest_of(tmp_path, ["a", "x", "y"]), NONE)
    assert found.items == 1, "only what both ask for"
    assert known(manifest_of(tmp_path, ["x"]), NONE) == []
    assert known(manifest_of(tmp_path), NONE, other) == []
    assert known(manifest_of(tmp_path), NONE, only=("c",))[0].items == 1


@pytest.mark.parametrize("rejected", [False, True])
def test_what_was_sent_here_and_certainly_not_charged_is_asked_about(tmp_path: Path, *, rejected: bool) -> None:
    other = bought(tmp_path / "output" / "autumn")
    with journal_of(tmp_path / "output" / "spring", map(named, NAMES), run="spring") as journal:
        journal.note(api=REAL.api, account=REAL.account)
        buyer = Buyer(journal)
        for name in NAMES:
            if rejected:
                buyer.reject(name, "not now")
            else:
                journal.cancel_intent(buyer.intend(name))  # the key is refused, or the balance is used up
    (found,) = known(manifest_of(tmp_path), NONE)
    assert (found.path, found.items) == (other, 3)


def test_one_purchase_counts_for_one_item(tmp_path: Path) -> None:
    bought(tmp_path / "output" / "autumn", ["a"])
    manifest = manifest_of(tmp_path, [])
    text = manifest.read_text(encoding="utf-8") + f"  - {{id: z, model: {MODEL}, prompt: A a, repeat: 3}}\n"
    manifest.write_text(text, encoding="utf-8")
    assert [found.items for found in known(manifest, NONE)] == [1]


@pytest.mark.parametrize(
    "binding",
    [Binding("simulator", REAL.account), Binding("https://api18.dev", REAL.account), Binding(NOWHERE, "f00d")],
)
def test_other_money_is_none_of_it(tmp_path: Path, binding: Binding) -> None:
    bought(tmp_path / "output" / "autumn", binding=binding)
    assert known(manifest_of(tmp_path), NONE) == []


def test_a_wanted_second_purchase_is_not_asked_about(tmp_path: Path) -> None:
    bought(tmp_path / "output" / "autumn", ["a"])
    manifest = manifest_of(tmp_path, [])
    head = manifest.read_text(encoding="utf-8")
    redo = f"  - {{id: z, model: {MODEL}, prompt: A a, redo_of: {{run: autumn, item: a~2}}}}\n"
    manifest.write_text(head + redo, encoding="utf-8")
    assert known(manifest, NONE) == []
    manifest.write_text(head + redo + redo.replace("id: z", "id: y").replace(", redo_of", ", tags"), encoding="utf-8")
    assert [found.items for found in known(manifest, NONE)] == [1]


@pytest.mark.parametrize(
    ("written", "place", "message"),
    [
        ("autumn", "autumn", "as in {run: spring, item: mug}"),
        ("{run: autumn}", "{run", "as in {run: spring, item: mug}"),
        ("{run: autumn, item: a, why: dark}", "{run", "as in {run: spring, item: mug}"),
        ("{run: Autumn, item: a}", "Autumn", "must name the run as it was bought"),
        ("{run: autumn, item: 'a ${x}'}", "'a $", "must name the item as it was bought"),
    ],
)
def test_what_is_wrong_with_a_second_purchase_is_located(
    tmp_path: Path, written: str, place: str, message: str
) -> None:
    manifest = manifest_of(tmp_path, [])
    line = f"  - {{id: z, model: {MODEL}, prompt: A prompt, redo_of: {written}}}"
    manifest.write_text(manifest.read_text(encoding="utf-8") + f"{line}\n", encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        known(manifest, NONE)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert (problem.line, problem.column) == (5, line.index(place) + 1)


def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    broken = bought(tmp_path / "output" / "autumn")
    (broken / "journal.sqlite3").write_bytes(b"no journal")
    assert known(manifest_of(tmp_path), NONE) == []


def test_a_folder_that_has_bought_something_is_not_compared_with_others(tmp_path: Path) -> None:
    bought(tmp_path / "output" / "autumn")
    bought(tmp_path / "output" / "spring", ["a"])
    assert known(manifest_of(tmp_path), NONE) == []


# ---- the register -------------------------------------------------------------------------------------------------


def test_a_moved_output_folder_is_found_by_the_register(tmp_path: Path, register: Register) -> None:
    old = bought(tmp_path / "elsewhere" / "spring")
    noted(register, old)
    (found,) = known(manifest_of(tmp_path), register)
    assert (found.path, found.items) == (old, 3)
    copy = shutil.copytree(old, tmp_path / "output" / "autumn")
    assert [k.path for k in known(manifest_of(tmp_path), register)] == [copy], "the same run is told once"


def test_a_run_that_is_gone_is_known_by_a_sample_of_its_purchases(tmp_path: Path, register: Register) -> None:
    names = [f"i{n}" for n in range(100)]
    old = bought(tmp_path / "output" / "spring", names)
    noted(register, old)
    shutil.rmtree(tmp_path / "output")
    (found,) = known(manifest_of(tmp_path, names), register)
    assert (found.path, found.items) == (None, 64)
    assert "(100 purchases for $5.60), which was in" in found.sentence
    assert str(old) in found.sentence
    assert known(manifest_of(tmp_path, NAMES), register) == [], "another manifest of the same name"


def test_a_folder_that_was_put_back_to_an_older_copy_lacks_purchases(tmp_path: Path, register: Register) -> None:
    folder = bought(tmp_path / "output" / "spring", ["a"])
    shutil.copytree(folder, tmp_path / "snapshot")
    bought(folder, NAMES)
    noted(register, folder)
    newer = shutil.copytree(folder, tmp_path / "newer")
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "snapshot", folder)
    (found,) = known(manifest_of(tmp_path), register)
    assert found.items == 2
    assert "lacks 2 purchases that were made in it" in found.sentence
    assert known(manifest_of(tmp_path), register, newer) == []
    assert known(manifest_of(tmp_path, ["a", "x"]), register) == [], "nothing that is missing is asked for"
    noted(register, folder)
    assert known(manifest_of(tmp_path), register) == [], "it was agreed to, and goes on from there"


def test_a_run_has_one_entry_wherever_it_is_and_pretended_money_none(tmp_path: Path, register: Register) -> None:
    folder = bought(tmp_path / "one")
    noted(register, folder)
    noted(register, folder.rename(tmp_path / "two"))
    (entry,) = register.entries(REAL.api, REAL.account)
    assert (entry.folder, entry.name, entry.history.purchases, str(entry.net)) == (tmp_path / "two", "one", 3, "0.168")
    assert register.entries(REAL.api, "f00d") == register.entries("https://api18.dev", REAL.account) == []
    with closing(Journal(tmp_path / "two")) as journal:
        with journal.transaction():
            journal.note(api="simulator")
        register.remember(journal)
    assert register.entries(REAL.api, REAL.account) == []


def test_the_register_is_bounded(tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.session.checks.register._MOST", 2)
    for name in ("one", "two", "three"):
        noted(register, bought(tmp_path / name))
    assert {entry.name for entry in register.entries(REAL.api, REAL.account)} == {"two", "three"}


@pytest.mark.parametrize("fault", ["folder", "file", "no database"])
def test_a_register_that_cannot_be_used_is_done_without(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state" / "runs.sqlite3"
    if fault == "folder":
        (tmp_path / "state").write_text("a file")
    else:
        path.parent.mkdir()
        path.mkdir() if fault == "file" else path.write_text("no database " * 100)
    caplog.set_level(logging.INFO, "batchgen")
    noted(Register(path), bought(tmp_path / "one"))
    assert Register(path).entries(REAL.api, REAL.account) == []
    assert f"the register of runs {path} could not be used" in caplog.text


def test_where_the_register_is() -> None:
    def path(**environment: str) -> Path | None:
        return Register.of(environment)._path

    assert path(BATCHGEN_REGISTER="/x/r.sqlite3", XDG_STATE_HOME="/state") == Path("/x/r.sqlite3")
    assert path(BATCHGEN_REGISTER="", XDG_STATE_HOME="/state") is None
    assert path(XDG_STATE_HOME="/state") == Path("/state/batchgen/runs.sqlite3")
    assert path() == Path.home() / ".local" / "state" / "batchgen" / "runs.sqlite3"


# ---- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("API18_KEY", KEY)
    monkeypatch.setenv("BATCHGEN_BASE_URL", NOWHERE)
    monkeypatch.setenv("BATCHGEN_REGISTER", str(tmp_path / "state" / "runs.sqlite3"))
    return lambda *words: guarded(["run", str(tmp_path / "m.yaml"), "--output", str(tmp_path / "output"), *words])


@pytest.mark.thorough
def test_neither_yes_nor_another_name_is_consent(
    tmp_path: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    other = bought(tmp_path / "output" / "autumn")
    manifest_of(tmp_path)
    for words in ((), ("--yes",), ("--run", "winter", "--yes")):
        assert run(*words) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert (
            f"were already bought in {other}: give --skip-bought {other} to leave those items out, or --buy-again"
            in told
        )
        assert not (tmp_path / "output" / "spring").exists()
    assert run("--skip-bought", str(other)) == 0, "nothing is left to buy"
    assert run("--buy-again", "--quiet") == 5, "nobody listens at that address"


@pytest.mark.thorough
def test_a_run_is_in_the_register_before_it_buys(tmp_path: Path, run: Callable[..., int]) -> None:
    manifest_of(tmp_path)
    assert run("--quiet") == 5
    register = Register(tmp_path / "state" / "runs.sqlite3")
    (entry,) = register.entries(REAL.api, REAL.account)
    assert (entry.folder, entry.name, entry.history.purchases) == (tmp_path / "output" / "spring", "spring", 0)
