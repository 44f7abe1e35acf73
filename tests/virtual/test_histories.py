"""Whatever history the books of a run folder have had: no job is forgotten or held twice, and no doubt is dropped."""

import pytest
from support.histories import history_of
from support.worlds import in_memory

from batchgen.journal.recovery.replay import Replay


@pytest.mark.parametrize("seed", range(25))
def test_whatever_history_the_books_have_had_they_know_what_was_bought(seed: int) -> None:
    with in_memory() as folder, history_of(folder / "run", seed) as history:
        history.play(50)


def test_a_planted_mistake_is_told_with_the_seed_and_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replay, "_accepted", lambda *_: None)
    with in_memory() as folder, history_of(folder / "run", 3) as history:
        with pytest.raises(AssertionError, match=r"job1 is forgotten") as raised:
            history.play(50)
        (note,) = raised.value.__notes__
    first, *steps = note.splitlines()
    assert first == "seed 3"
    assert any("accepted as job1" in step for step in steps)
