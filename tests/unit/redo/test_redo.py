"""Manifests of redoes: read back, they order the same requests, with new seeds."""

import json
import re
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bought import Buyer, item, journal_of
from support.worlds import in_memory

from batchgen.catalog import load_catalog
from batchgen.core.digest import digest_of
from batchgen.core.errors import UsageError
from batchgen.core.records import Input, Item
from batchgen.journal import FILE_NAME, Journal, open_for_reading
from batchgen.journal.queries.report_rows import pickable_outputs
from batchgen.manifest import load_manifest
from batchgen.manifest.item.ids import shard
from batchgen.picks import Choice, Pick, append_picks
from batchgen.plan.selection import Selection
from batchgen.redo import choose, write_manifest
from batchgen.redo.manifest import Remarks
from batchgen.redo.naming import new_ids, new_seed, redo_name, redo_number

CATALOG = load_catalog()
FILM = "centaurus-1.0-text-to-video"
EDIT = next(m.id for m in CATALOG.models.values() if any(p.type == "url" for p in m.parameters))
SEEDED = next(m.id for m in CATALOG.models.values() if m.seed is not None)
SEEDLESS = "hera-1.0-text-to-image"


def bought(run: Path, items: Iterable[Item], outputs: int = 1, name: str = "spring") -> None:
    """A run in which all items are done, in the order of their ids as given."""
    listed = list(items)
    with journal_of(run, listed, name) as journal:
        for one in listed:
            buyer = Buyer(journal)
            buyer.done(one.id, outputs)
            journal.advance_chain(buyer.work(one.id).key)


def pick(run: Path, **choices: Choice) -> None:
    """Pick outputs: `mug_1="reject"` means the first one of `mug`."""
    with closing(open_for_reading(run / FILE_NAME)) as db:
        found = {f"{item_id}_{n}": (item_id, digest, n, sha) for item_id, digest, n, _, sha in pickable_outputs(db)}
    append_picks(run, [Pick(*found[output], choice) for output, choice in choices.items()])


def redone(
    run: Path, only: tuple[str, ...] = (), *, flagged: bool = False, with_sources: bool = False
) -> tuple[str, Remarks]:
    lines: list[str] = []
    with closing(open_for_reading(run / FILE_NAME)) as db:
        redo = choose(
            run, db, Selection.parse(only), rejected=not flagged, flagged=flagged, with_sources=with_sources
        )  # fmt: skip
        remarks = write_manifest(redo, CATALOG, lines.append)
    return "".join(lines), remarks


def read(folder: Path, text: str) -> list[dict[str, Any]]:
    """What the manifest orders, as the journal of its run lists it."""
    manifest = folder / "redo.yaml"
    manifest.write_text(text, encoding="utf-8")
    table = folder / "table"
    load_manifest(manifest, table, CATALOG)
    with closing(Journal(folder / "again", create=True)) as journal:
        journal.list_items(table)
        found = journal.db.execute("SELECT id, body, tags, path, inputs FROM item ORDER BY position").fetchall()
    return [
        {"id": row[0], "body": json.loads(row[1]), "tags": json.loads(row[2]), "path": row[3], "inputs": row[4]}
        for row in found
    ]


def ids(text: str) -> list[str]:
    return re.findall(r'^  - id: "(.*)"$', text, re.MULTILINE)


@pytest.fixture
def again(tmp_path: Path) -> Path:
    (tmp_path / "again").mkdir()
    return tmp_path


def test_rejected_items_are_written_with_new_seeds_and_ids(again: Path) -> None:
    run = again / "output" / "spring"
    bought(run, [item("mug", model=SEEDED, seed=7, tags={"client": "acme"}), item("jug"), item("vase")])
    pick(run, mug_1="reject", jug_1="keep")
    text, remarks = redone(run)
    assert text.startswith('version: 1\nname: spring-redo-1\ndescription: "Redo of spring: 1 item"\n')
    assert '    redo_of: {"run": "spring", "item": "mug"}\n' in text
    (ordered,) = read(again, text)
    seed = new_seed(7, 1, CATALOG.models[SEEDED].seed)
    assert ordered == {
        "id": "mug.r1",
        "body": {"model": SEEDED, "prompt": "A mug", "seed": seed},
        "tags": {"client": "acme"},
        "path": "mug.r1",
        "inputs": "[]",
    }
    assert (remarks.items, remarks.path_lost) == (1, False)
    assert redone(run)[0] == text, "the same once more"


def test_what_is_rejected_and_what_is_not(again: Path) -> None:
    run = again / "spring"
    bought(run, [item(name) for name in ("one", "none", "kept", "rated", "back")], outputs=2)
    pick(run, one_1="reject", kept_1="reject", kept_2="keep", back_1="reject")
    pick(run, back_1="")
    assert ids(redone(run)[0]) == ["one.r1"]
    with pytest.raises(UsageError, match="nothing to redo in spring: no selected item was rejected without"):
        redone(run, ("none",))


def test_what_is_flagged(again: Path) -> None:
    run = again / "spring"
    bought(run, [item("small"), item("kept"), item("good"), item("old"), item("odd")])
    with closing(Journal(run)) as journal, journal.transaction():
        for name, flags, sha in (
            ("small", "small", ""),
            ("kept", "small", ""),
            ("good", "", ""),
            ("old", "small", "0" * 64),
        ):
            journal.db.execute(
                "INSERT INTO delivered (attempt, number, sha256, flags) SELECT o.attempt, o.number,"
                " iif(? = '', o.sha256, ?), ? FROM output o JOIN attempt a ON a.key = o.attempt"
                " JOIN item i ON i.key = a.item WHERE i.id = ?",
                (sha, sha, flags, name),
            )
        journal.db.execute(
            "UPDATE attempt SET error_type = 'unknown_format' WHERE item = (SELECT key FROM item WHERE id = 'odd')"
        )
    pick(run, kept_1="keep")
    assert ids(redone(run, flagged=True)[0]) == ["small.r1", "odd.r1"]


def test_only_some(again: Path) -> None:
    run = again / "spring"
    bought(run, [item("mug", tags={"client": "acme"}), item("jug"), item("vase")])
    pick(run, mug_1="reject", jug_1="reject", vase_1="reject")
    assert ids(redone(run, ("v*", "tag:client=acme"))[0]) == ["mug.r1", "vase.r1"]


def test_a_redo_of_a_redo_and_the_folders_beside(again: Path) -> None:
    run = again / "spring-redo-1"
    bought(run, [item("mug.r1"), item("jug.r7.r1")], name="spring-redo-1")
    (again / "spring-redo-2.simulated").mkdir()
    (again / "other-redo-9").mkdir()
    pick(run, **{"mug.r1_1": "reject", "jug.r7.r1_1": "reject"})
    text, _ = redone(run)
    assert "name: spring-redo-3\n" in text
    assert ids(text) == ["mug.r3", "jug.r7.r3"]


def test_copies_lose_their_tilde_and_never_clash(again: Path) -> None:
    run = again / "spring"
    bought(run, [item("wave~1", "a"), item("wave-1", "b"), item("x" * 99, "c"), item("x" * 100, "d")])
    pick(run, **{f"{name}_1": "reject" for name in ("wave~1", "wave-1", "x" * 99, "x" * 100)})
    text, _ = redone(run)
    new = ids(text)
    assert new[0] == "wave-1.r1"
    assert all(re.fullmatch(r"(wave-1|x{86})-[0-9a-f]{10}\.r1", name) for name in new[1:]), new
    assert [row["body"]["prompt"] for row in read(again, text)] == ["a", "b", "c", "d"]


def test_models_without_a_seed_are_told(again: Path) -> None:
    run = again / "spring"
    bought(run, [item("mug", model=SEEDLESS), item("jug", model=SEEDED)])
    pick(run, mug_1="reject", jug_1="reject")
    assert redone(run)[1].same_request == {SEEDLESS: 1}


def test_a_request_that_is_not_known_is_named(again: Path) -> None:
    run = again / "spring"
    bought(run, [item("mug")])
    pick(run, mug_1="reject")
    with closing(Journal(run)) as journal, journal.transaction():
        journal.db.execute("UPDATE item SET body = '{}'")
    with pytest.raises(UsageError, match="the requests of these items are not known, only their purchases: mug"):
        redone(run)


def chained(item_id: str, **inputs: str) -> Item:
    made = item(item_id, "Turn it", model=EDIT, **dict.fromkeys(inputs))
    return Item(
        made.id, made.model, made.body, made.digest, made.tags, made.path, made.source, made.estimated,
        tuple(Input(place, source, 1) for place, source in inputs.items()),
    )  # fmt: skip


def test_an_item_of_a_chain_is_redone_with_its_source_or_refused(again: Path) -> None:
    run = again / "spring"
    parameter = next(p.name for p in CATALOG.models[EDIT].parameters if p.type == "url")
    mug = item("mug", model="hera-1.0-image-edit", images=["https://example.com/a.png"], seed=7)
    bought(run, [mug, chained("spin", **{parameter: "mug"})])
    pick(run, spin_1="reject")
    with pytest.raises(UsageError, match=r"of items that are not redone: spin needs mug\. --with-sources"):
        redone(run)
    source, spin = read(again, redone(run, with_sources=True)[0])
    assert (source["id"], source["body"]["seed"]) == ("mug.r1", 7), "what only comes along is made as it was"
    assert (spin["id"], json.loads(spin["inputs"])) == ("spin.r1", [[parameter, "mug.r1", 1]])
    pick(run, mug_1="reject")
    both = again / "both"
    (both / "again").mkdir(parents=True)
    source, spin = read(both, redone(run)[0])
    assert source["body"]["seed"] == new_seed(7, 1, CATALOG.models["hera-1.0-image-edit"].seed)
    assert json.loads(spin["inputs"]) == [[parameter, "mug.r1", 1]]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("{id}", "mug.r1"), ("{client}/{id}", "acme/mug.r1"), ("{shard}/x-{id}", None), ("all/{id}-{client}", None)],
)
def test_paths_keep_their_rule(again: Path, path: str, expected: str | None) -> None:
    run, made = again / "spring", []
    for name, client in (("mug", "acme"), ("jug", "Globex Ltd")):
        one = item(name, name, tags={"client": client})
        values = {"id": name, "client": client.replace(" ", "-"), "shard": shard(name)}
        made.append(
            Item(*[getattr(one, f) if f != "path" else path.format(**values) for f in Item.__dataclass_fields__])
        )
    bought(run, made)
    pick(run, mug_1="reject", jug_1="reject")
    text, remarks = redone(run)
    first = read(again, text)[0]["path"]
    if path.startswith("all"):
        assert remarks.path_lost
    else:
        assert first == (expected or f"{shard('mug.r1')}/x-mug.r1")


def test_names() -> None:
    assert redo_number("spring", []) == ("spring", 1)
    assert redo_number("spring.simulated", ["spring-redo-4.simulated", "spring-redo-x", "spring-redo-07"]) == (
        "spring",
        5,
    )
    assert redo_name("s" * 64, 12) == f"{'s' * 56}-redo-12"
    first = next(new_ids("mug.r1", "spring", 1))
    assert first == "mug.r1.r1", "a name that only looks like one of a redo"


def test_seeds_are_others_and_stay_in_their_range() -> None:
    parameter = CATALOG.models[SEEDED].seed
    assert parameter is not None
    for seed in range(200):
        new = new_seed(seed, 1, parameter)
        assert new != seed
        assert new == new_seed(seed, 1, parameter) != new_seed(seed, 2, parameter)
        assert (parameter.minimum or 0) <= new <= (parameter.maximum or 2**31)


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40) | st.sampled_from(
    ["${id}", "$${id}", "$$${x}", "${items.mug.output}", "a ${", "no", "16:9", "- x # y", "\u2028\x85\x7f", "🎨\ufeff"]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(prompts=st.lists(TEXTS.filter(str.strip), min_size=1, max_size=3), tag=TEXTS, negative=TEXTS)
def test_whatever_the_texts_the_manifest_orders_the_same_requests(prompts: list[str], tag: str, negative: str) -> None:
    with in_memory() as folder:
        (folder / "again").mkdir()
        run = folder / "spring"
        names = [f"i{n}" for n in range(len(prompts))]
        items = [
            item(name, prompt, model=FILM, tags={"t": tag}, negative_prompt=negative)
            for name, prompt in zip(names, prompts, strict=True)
        ]
        bought(run, items)
        pick(run, **{f"{name}_1": "reject" for name in names})
        rows = read(folder, redone(run)[0])
        assert [row["body"] for row in rows] == [json.loads(one.body) for one in items]
        assert {row["tags"]["t"] for row in rows} == {tag}
        assert all(digest_of(one.body) == one.digest for one in items)
