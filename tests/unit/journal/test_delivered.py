"""What files are and what was found about them, in the journal."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of, list_items

from batchgen.core.records import StoredFile
from batchgen.journal import Journal
from batchgen.journal.delivered import Findings, UnjudgedFile, Verdict
from batchgen.media.facts import Facts

FACTS = Facts(1280, 720, 5005, Fraction(30000, 1001), "avc1", sound=False, c2pa=True)
PLAIN = Findings(FACTS)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with journal_of(tmp_path, [item("mug"), item("pan")]) as journal:
        yield journal


def stored(number: int, content: str = "a") -> StoredFile:
    return StoredFile(number, f"files/mug@{number}.mp4", 100 + number, content * 64)


def done(journal: Journal, outputs: int, findings: Findings = PLAIN) -> int:
    """A purchase with files; return its key."""
    attempt = Buyer(journal).ready("mug", outputs)
    for number in range(1, outputs + 1):
        journal.record_file(attempt, stored(number), findings)
    return attempt.key


def unjudged(journal: Journal) -> list[UnjudgedFile]:
    """All of them, as they are now."""
    found: list[UnjudgedFile] = []
    while file := journal.next_unjudged(found[-1].place if found else (0, 0)):
        found.append(file)
    return found


def to_judge(journal: Journal, *, again: bool) -> list[UnjudgedFile]:
    found: list[UnjudgedFile] = []
    while file := journal.next_to_judge(found[-1].place if found else (0, 0), again=again):
        found.append(file)
    return found


def flags(journal: Journal) -> list[str]:
    return [flags for (flags,) in journal.db.execute("SELECT flags FROM delivered ORDER BY attempt, number")]


@pytest.mark.parametrize("facts", [FACTS, Facts(), Facts(width=1, height=1, c2pa=False)])
def test_facts_come_back_as_they_were(journal: Journal, facts: Facts) -> None:
    done(journal, 1, Findings(facts))
    (found,) = unjudged(journal)
    assert (found.facts, found.file, found.work.item.id, found.siblings) == (facts, stored(1), "mug", ())


def test_files_of_a_purchase_are_judged_once_all_are_there(journal: Journal) -> None:
    attempt = Buyer(journal).ready("mug", 2)
    journal.record_file(attempt, stored(2), PLAIN)
    assert unjudged(journal) == []
    journal.record_file(attempt, stored(1), PLAIN)
    assert [found.file.output for found in unjudged(journal)] == [1, 2]


def test_a_file_is_compared_with_those_before_it(journal: Journal) -> None:
    done(journal, 3)
    for expected in ((), ("look-1",), ("look-1", "look-2")):
        found = unjudged(journal)[0]
        assert found.siblings == expected
        verdict = journal.record_judgement(found, f"look-{found.file.output}", ["small"] if expected else [])
    assert verdict == Verdict(complete=True, flags=("small",))
    assert unjudged(journal) == []


def test_a_purchase_is_judged_when_its_last_file_is(journal: Journal) -> None:
    done(journal, 2)
    verdict = journal.record_judgement(unjudged(journal)[0], None, ["small", "blank"])
    assert verdict == Verdict(complete=False, flags=("small", "blank"))


def test_a_judgement_about_another_file_counts_for_nothing(journal: Journal) -> None:
    """It was downloaded again while the one before was looked at."""
    key = done(journal, 1)
    (found,) = unjudged(journal)
    journal.replace_file(key, stored(1, "b"), PLAIN)
    journal.record_judgement(found, "look", ["blank"])
    assert (flags(journal), [left.file.sha256 for left in unjudged(journal)]) == ([""], ["b" * 64])


def test_a_file_that_comes_again_the_same_keeps_what_was_found(journal: Journal) -> None:
    key = done(journal, 2)
    for _ in range(2):
        journal.record_judgement(unjudged(journal)[0], "look", ["duplicate"])
    journal.replace_file(key, stored(1), Findings(Facts()))
    assert (flags(journal), unjudged(journal)) == (["duplicate", "duplicate"], [])


def test_a_file_that_comes_again_as_another_is_judged_anew_with_its_siblings(journal: Journal) -> None:
    key = done(journal, 2)
    for _ in range(2):
        journal.record_judgement(unjudged(journal)[0], "look", ["duplicate"])
    journal.replace_file(key, stored(1, "b"), Findings(FACTS, ("small",)))
    assert flags(journal) == ["small", "duplicate"]
    assert [found.file.output for found in unjudged(journal)] == [1, 2]


def test_a_file_that_was_never_looked_at_is_for_the_check_alone(journal: Journal) -> None:
    Buyer(journal).done("mug")
    done_too = Buyer(journal).ready("pan")
    journal.record_file(done_too, replace(stored(1), path="files/pan.png"), Findings(FACTS, judged=True))
    assert unjudged(journal) == []
    (found,) = to_judge(journal, again=False)
    assert (found.work.item.id, found.facts) == ("mug", None)
    assert [found.work.item.id for found in to_judge(journal, again=True)] == ["mug", "pan"]


def test_another_file_than_was_looked_at_is_one_that_was_never_looked_at(journal: Journal) -> None:
    """As receipts may tell of a file that was downloaded again."""
    done(journal, 1, Findings(FACTS, ("small",), judged=True))
    journal.db.execute("UPDATE output SET sha256 = 'c'")
    (found,) = to_judge(journal, again=False)
    assert found.facts is None


def test_what_is_expected_may_change_and_what_came_is_judged_anew(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("mug")]) as journal:
        done(journal, 1, Findings(FACTS, judged=True))
    journal = Journal(tmp_path)
    list_items(journal, [item("mug")])
    assert unjudged(journal) == []
    list_items(journal, [replace(item("mug"), expect='{"min_side":512}')])
    (found,) = unjudged(journal)
    assert found.work.item.expect == '{"min_side":512}'
    assert journal.counts() == {"done": 1}
    journal.close()


def test_the_scale_of_a_simulator_stays_with_the_purchase(journal: Journal) -> None:
    done(journal, 1)
    journal.db.execute("UPDATE attempt SET scale = '1/4'")
    assert unjudged(journal)[0].scale == "1/4"
