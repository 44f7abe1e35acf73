"""Which purchases need somebody's word, as pure values: who asks and how is the command's matter."""

from dataclasses import replace

from batchgen.core.records import State
from batchgen.core.text import plural, usd
from batchgen.plan import Plan
from batchgen.session.prepare import RunRequest
from batchgen.settings import Settings


def reasons_to_ask(plan: Plan, request: RunRequest, settings: Settings, *, real_money: bool) -> tuple[str, ...]:
    """Return, a sentence each, why this run wants consent; empty when it may start."""
    if not plan.to_buy:
        return ()
    reasons = []
    if plan.changed:
        reasons.append(
            f"{plural(plan.changed, 'item')} changed since bought; buying them again costs ${usd(plan.changed_usd)}"
        )
    if State.LOST in request.retry and plan.count(State.LOST):
        reasons.append(f"{plural(plan.count(State.LOST), 'lost item')}, paid for already, will be bought again")
    if plan.again:
        reasons.append(f"{plural(plan.again, 'good item')} will be bought again")
    if real_money and settings.max_cost is None and settings.budget is None:
        reasons.append(
            f"there is neither max_cost nor budget, and {plural(plan.to_buy, 'item')} will cost ${usd(plan.estimated)}"
        )
    return tuple(reasons)


def capped(settings: Settings, plan: Plan, *, real_money: bool) -> Settings:
    """Return the settings after consent: without any cap, what was agreed to is the estimate, and no more."""
    if not real_money or settings.max_cost is not None or settings.budget is not None:
        return settings
    return replace(settings, budget=plan.estimated)
