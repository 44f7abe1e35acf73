"""What a run would buy: sums over how the items stand."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.errors import UsageError
from batchgen.core.records import State
from batchgen.journal.queries.comparison import Group, TagGroup
from batchgen.plan import Plan, Selection, format_plan, make_plan, plan_json

HERA, ZEUS = "hera-1.0-text-to-image", "zeus-1.0-image-to-video"


def group(
    state: State, items: int, price: str = "0.056", model: str = HERA, *, standing: str = "", buys: bool | None = None
) -> Group:
    pending = state is State.PENDING
    return Group(
        state,
        standing or ("new" if pending else state),
        pending if buys is None else buys,
        model,
        Decimal(price),
        items,
    )


MIXED = [
    group(State.PENDING, 10),
    group(State.PENDING, 2, standing="changed"),
    group(State.PENDING, 3, "0.60", ZEUS),
    group(State.PENDING, 1, "0.30", ZEUS),
    group(State.DONE, 100),
    group(State.SUBMITTING, 1),
    group(State.PROCESSING, 2),
    group(State.READY, 4),
    group(State.FAILED, 5),
    group(State.REJECTED, 6),
    group(State.LOST, 7, "0.30", ZEUS),
    group(State.IN_DOUBT, 8),
    group(State.SKIPPED, 9),
]


# ---- sums ---------------------------------------------------------------------------------------------------------


def test_a_plan_buys_what_is_pending_and_nothing_else() -> None:
    plan = make_plan("spring", MIXED)
    assert plan.items == 158
    assert plan.to_buy == 16
    assert dict(plan.buy) == {HERA: (12, Decimal("0.672")), ZEUS: (4, Decimal("2.10"))}
    assert plan.estimated == Decimal("2.772")
    assert (plan.changed, plan.changed_usd) == (2, Decimal("0.112"))


def test_what_is_tried_again_is_bought_and_still_stands_where_it_stood() -> None:
    retried = [group(State.FAILED, 5, buys=True), group(State.LOST, 7, "0.30", ZEUS, buys=True)]
    plan = make_plan("spring", retried)
    assert (plan.to_buy, plan.estimated) == (12, Decimal("2.380"))
    assert plan.states == {State.FAILED: 5, State.LOST: 7}
    assert plan.lost_again == 7
    assert "7 lost items, already paid for, will be bought again: you pay twice" in lines(plan)


def test_good_items_bought_again_are_counted_once() -> None:
    again = group(State.DONE, 2, standing="again", buys=True)
    expired = group(State.DONE, 1, standing="source_expired", buys=True)
    plan = make_plan("spring", [group(State.DONE, 3), again, expired])
    assert (plan.items, plan.to_buy, plan.estimated, plan.count(State.DONE)) == (6, 3, Decimal("0.168"), 6)
    assert (plan.again, plan.source_expired) == (2, 1)
    assert "2 finished items will be bought again" in lines(plan)


def test_what_waits_for_a_pick_is_priced_apart() -> None:
    waiting = group(State.PENDING, 2, "0.60", ZEUS, standing="waiting", buys=False)
    plan = make_plan("spring", [group(State.PENDING, 3), waiting])
    assert (plan.to_buy, plan.estimated) == (3, Decimal("0.168"))
    assert (plan.waiting, plan.waiting_usd) == (2, Decimal("1.20"))
    assert (plan_json(plan)["new"], plan_json(plan)["waiting"]) == (3, 2)
    assert "2 items wait until outputs are picked (`batchgen picks`), and would then cost $1.20" in lines(plan)


def test_nothing_to_do() -> None:
    plan = make_plan("spring", [])
    assert (plan.items, plan.to_buy, plan.estimated) == (0, 0, Decimal(0))


GROUPS = st.lists(
    st.builds(
        Group,
        state=st.sampled_from(State),
        standing=st.sampled_from(["", "again", "waiting"]),
        buys=st.booleans(),
        model=st.sampled_from([HERA, ZEUS]),
        estimated=st.decimals(0, 5, places=3),
        items=st.integers(1, 10**6),
    ),
    max_size=20,
)


@given(GROUPS)
def test_sums_are_exact_and_every_item_stands_somewhere(groups: list[Group]) -> None:
    plan = make_plan("spring", groups)
    shown = plan_json(plan)
    bought = [g for g in groups if g.buys]
    assert plan.estimated == sum((g.estimated * g.items for g in bought), Decimal(0))
    words = ("new", "changed", "waiting", "done", "in_flight", "failed", "rejected", "lost", "in_doubt", "skipped")
    assert sum(shown[word] for word in words) == shown["items"] == sum(g.items for g in groups)
    assert sum(Decimal(m["estimated_usd"]) for m in shown["by_model"]) == Decimal(shown["estimated_usd"])


def test_a_tag_cannot_steer_a_terminal() -> None:
    plan = make_plan("spring", MIXED, [TagGroup("shop", "a\x1b[2Jb\nc", Decimal("0.30"), 1)])
    assert "a [2Jb c 1 $0.30" in lines(plan)


# ---- JSON ---------------------------------------------------------------------------------------------------------


def test_the_json_is_what_was_promised() -> None:
    assert json.loads(json.dumps(plan_json(make_plan("spring", MIXED)))) == {
        "format_version": 1,
        "name": "spring",
        "items": 158,
        "new": 14,
        "changed": 2,
        "renamed": 0,
        "waiting": 0,
        "done": 100,
        "in_flight": 7,
        "failed": 5,
        "rejected": 6,
        "lost": 7,
        "in_doubt": 8,
        "skipped": 9,
        "stale": 0,
        "estimated_usd": "2.772",
        "by_model": [
            {"model": HERA, "items": 12, "estimated_usd": "0.672"},
            {"model": ZEUS, "items": 4, "estimated_usd": "2.10"},
        ],
        "by_tag": [],
        "simulated": False,
    }


def test_the_keys_come_in_the_order_that_was_promised() -> None:
    assert ", ".join(plan_json(make_plan("spring", []))) == (
        "format_version, name, items, new, changed, renamed, waiting, done, in_flight, failed, rejected, lost,"
        " in_doubt, skipped, stale, estimated_usd, by_model, by_tag, simulated"
    )


# ---- text ---------------------------------------------------------------------------------------------------------


def lines(plan: Plan, **more: Any) -> list[str]:
    return [" ".join(line.split()) for line in format_plan(plan, **more).splitlines()]


def test_the_text_says_what_stands_where_and_what_it_costs() -> None:
    shown = lines(make_plan("spring", MIXED))
    assert shown[0] == "spring: 158 items"
    for line in ("new 14", "in flight 7", "in doubt 8", "to buy: 16 items for $2.772", f"{ZEUS} 4 $2.10"):
        assert line in shown
    assert "2 items changed since purchase; buying again costs $0.112" in shown


def test_the_text_leaves_out_what_there_is_none_of() -> None:
    shown = lines(make_plan("spring", [group(State.PENDING, 1)]))
    assert shown == ["spring: 1 item", "new 1", "", "to buy: 1 item for $0.056", f"{HERA} 1 $0.056"]


def test_tags_with_few_values_are_ways_to_look_at_costs() -> None:
    tags = [TagGroup("line", "a", Decimal("0.056"), 2), TagGroup("line", "a", Decimal("0.30"), 1)]
    tags += [TagGroup("sku", str(n), Decimal("0.056"), 1) for n in range(13)]
    plan = make_plan("spring", MIXED, tags)
    assert plan.by_tag["line"] == {"a": (3, Decimal("0.412"))}
    shown = lines(plan)
    assert shown[shown.index("by tag line:") + 1] == "a 3 $0.412"
    assert "by tag sku:" not in shown


def test_notes_tell_what_was_left_out_and_what_has_no_seed() -> None:
    shown = lines(make_plan("spring", MIXED), left_out=[("negative_prompt", HERA, 1)], unseeded=[(ZEUS, 4, True)])
    assert f"note: the default `negative_prompt` was left out of 1 item: {HERA} has no such parameter" in shown
    assert f"note: 4 requests to {ZEUS} carry no seed, so their results cannot be reproduced" in shown
    shown = lines(make_plan("spring", MIXED), unseeded=[(ZEUS, 1, True), (HERA, 2, False)])
    assert f"note: 1 request to {ZEUS} carries no seed, so its results cannot be reproduced" in shown
    assert f"note: the results of 2 requests to {HERA} cannot be reproduced, since it takes no seed" in shown


# ---- selection ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ([], {"mug", "Mug-2", "bowl"}),
        (["mug"], {"mug"}),
        (["*ug*"], {"mug", "Mug-2"}),
        (["m*", "bowl"], {"mug", "bowl"}),
        (["tag:line=a"], {"mug"}),
        (["tag:line=b=c"], {"Mug-2"}),
        (["tag:line="], {"bowl"}),
        (["tag:line=a", "bowl"], {"mug", "bowl"}),
        (["tag:line=zzz"], set()),
        ([""], set()),
    ],
)
def test_a_selection_is_what_one_of_its_patterns_fits(patterns: list[str], chosen: set[str]) -> None:
    items = {"mug": '{"line": "a", "x": "y"}', "Mug-2": '{"line": "b=c"}', "bowl": '{"line": ""}'}
    selection = Selection.parse(patterns)
    assert {id_ for id_, tags in items.items() if selection.wanted(id_, tags)} == chosen


def test_a_tag_is_selected_by_name_and_value() -> None:
    with pytest.raises(UsageError, match="--only tag:line: select a tag with tag:NAME=VALUE"):
        Selection.parse(["tag:line"])
