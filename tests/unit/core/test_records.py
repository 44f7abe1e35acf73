"""The sets of states: each state is where it must be, and a new one is nowhere until somebody has decided."""

import sqlite3
from contextlib import closing

import pytest

from batchgen.core import records
from batchgen.core.records import State, StateSet
from batchgen.journal import schema
from batchgen.session import summary

SETS = {name: value for name, value in vars(records).items() if isinstance(value, StateSet)}
PARTS = ("OPEN", "LIVE", "DOUBTFUL", "ENDED")
BELONGS = {
    State.PENDING: "OPEN",
    State.SUBMITTING: "LIVE UNSETTLED UNANSWERED BOUGHT",
    State.PROCESSING: "LIVE UNSETTLED BOUGHT EVIDENT",
    State.READY: "LIVE UNSETTLED BOUGHT EVIDENT DELIVERED",
    State.DONE: "ENDED RESTING BOUGHT EVIDENT DELIVERED",
    State.FAILED: "ENDED RESTING EVIDENT UNSUCCESSFUL INCOMPLETE",
    State.REJECTED: "ENDED RESTING UNSUCCESSFUL INCOMPLETE",
    State.IN_DOUBT: "DOUBTFUL UNSETTLED RESTING UNANSWERED BOUGHT EVIDENT",
    State.LOST: "ENDED RESTING BOUGHT EVIDENT UNSUCCESSFUL INCOMPLETE",
    State.SKIPPED: "ENDED RESTING INCOMPLETE",
}
"""The sets that each state must be in."""


@pytest.mark.parametrize("state", State)
def test_each_state_is_in_the_sets_it_must_be_in(state: State) -> None:
    assert {name for name, states in SETS.items() if state in states} == set(BELONGS[state].split())


def test_the_first_sets_hold_every_state_once() -> None:
    assert sorted(state for part in PARTS for state in SETS[part]) == sorted(State)


@pytest.mark.parametrize("name", SETS)
def test_the_sql_of_a_set_means_the_same_states(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        found = {state for state in State if db.execute(f"SELECT ? IN {SETS[name].sql}", (state,)).fetchone() == (1,)}
    assert found == SETS[name]


def test_the_index_of_unsettled_items_is_of_this_set() -> None:
    assert f"WHERE state IN {records.UNSETTLED.sql};" in schema.SCHEMA


def test_the_summary_shows_every_state_that_a_run_leaves_items_in() -> None:
    assert sorted(summary.SHOWN_STATES) == sorted(records.RESTING)
