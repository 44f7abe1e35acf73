"""Which purchases must be confirmed, as values: who asks, and how, is the matter of the program around the session."""

from dataclasses import dataclass, replace
from typing import Protocol

from batchgen.core.errors import ConsentNeeded, DeclinedError, UsageError
from batchgen.core.text import dollars, plural, printable
from batchgen.journal.requested.renames import Renames
from batchgen.plan import Plan, purchases_again, renames_text
from batchgen.session.checks.elsewhere import Known
from batchgen.session.prepare import PreparedRun
from batchgen.session.request import Renaming
from batchgen.settings import Settings

_IDS_SHOWN = 10

# ---- questions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RenamedItems:
    """Items were bought already under another id: adopt the purchases, or buy the items again?"""

    renamed: Renames

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the question is about, for people."""
        return (renames_text(self.renamed),)


@dataclass(frozen=True, slots=True)
class BoughtElsewhere:
    """Other records show items as bought already: buy all of them again?"""

    known: tuple[Known, ...]
    """Where that is known, the most items first."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the question is about, for people."""
        return tuple(found.sentence for found in self.known)


@dataclass(frozen=True, slots=True)
class Spending:
    """A purchase that needs a confirmation: start it?"""

    sentences: tuple[str, ...]
    """Why it does, for people."""
    plan: Plan
    edited: tuple[str, ...]
    """The first ids that were bought before with another request."""
    capped: bool
    """Whether `max_cost` or `budget` is set."""


class Consent(Protocol):
    """Answers the questions of a session, in its thread. Each may raise ConsentNeeded where nobody can be asked."""

    def renamed(self, question: RenamedItems) -> Renaming:
        """Return `adopt` or `buy`."""
        ...

    def buy_again(self, question: BoughtElsewhere) -> bool:
        """Return whether all of it may be paid for a second time."""
        ...

    def spend(self, question: Spending) -> bool:
        """Return whether the purchase may start."""
        ...


class NoConsent:
    """Nobody can be asked."""

    def renamed(self, question: RenamedItems) -> Renaming:
        """Raise ConsentNeeded."""
        raise ConsentNeeded("; ".join(question.sentences))

    def buy_again(self, question: BoughtElsewhere) -> bool:
        """Raise ConsentNeeded."""
        raise ConsentNeeded("; ".join(question.sentences))

    def spend(self, question: Spending) -> bool:
        """Raise ConsentNeeded."""
        raise ConsentNeeded("; ".join(question.sentences))


# ---- asking ---------------------------------------------------------------------------------------------------------


def decide_renames(prepared: PreparedRun, consent: Consent) -> tuple[PreparedRun, Plan]:
    """Return the run with an answer to what becomes of purchases that are asked for under another id, and its plan.

    The request's `yes` decides nothing here: adopting and buying again are both what somebody may want. Raises
    ConsentNeeded.
    """
    plan = prepared.plan()
    if prepared.request.renamed is not None or not plan.renamed.items:
        return prepared, plan
    decided = replace(prepared, request=replace(prepared.request, renamed=consent.renamed(RenamedItems(plan.renamed))))
    return decided, decided.plan()


def confirm_elsewhere(known: list[Known], consent: Consent) -> None:
    """Go on where nothing is known elsewhere, or all of it may be paid for again. Raises ConsentNeeded, DeclinedError.

    Neither the request's `yes` nor a name of its own confirms that.
    """
    if known and not consent.buy_again(BoughtElsewhere(tuple(known))):
        raise DeclinedError("nothing was bought")


def confirm_spending(prepared: PreparedRun, plan: Plan, consent: Consent, *, real_money: bool) -> None:
    """Go on where the purchase needs no confirmation, or has it. Raises ConsentNeeded, DeclinedError."""
    request, settings = prepared.request, prepared.settings
    reasons = reasons_to_ask(plan, settings, real_money=real_money)
    if not reasons or request.yes:
        return
    question = Spending(
        sentences=reasons,
        plan=plan,
        edited=tuple(prepared.edited_ids(_IDS_SHOWN)) if plan.changed else (),
        capped=settings.max_cost is not None or settings.budget is not None,
    )
    if not consent.spend(question):
        raise DeclinedError("nothing was bought")


# ---- decisions ------------------------------------------------------------------------------------------------------


def reasons_to_ask(plan: Plan, settings: Settings, *, real_money: bool) -> tuple[str, ...]:
    """Return, a sentence each, why this run must be confirmed; empty when it may start."""
    if not plan.to_buy:
        return ()
    reasons = purchases_again(plan)
    if real_money and settings.max_cost is None and settings.budget is None:
        reasons.append(
            f"no max_cost or budget is set, and {plural(plan.to_buy, 'item')} will cost {dollars(plan.estimated)}"
        )
    return tuple(reasons)


def refuse_unknown_prices(plan: Plan) -> None:
    """Raise UsageError if the plan has items whose price is unknown: no cap could hold, no question name the cost."""
    if plan.unpriced:
        models = ", ".join(printable(model) for model in plan.unpriced)
        count = sum(plan.unpriced.values())
        raise UsageError(
            f"the price of {models} is unknown, so {plural(count, 'item')} cannot be bought: no cap could hold;"
            " write the price into the catalogue, or leave these items out (--only)"
        )


def capped(settings: Settings, plan: Plan, *, real_money: bool) -> Settings:
    """Return the settings once it is confirmed: without any cap, what was confirmed is the estimate, and no more."""
    if not real_money or settings.max_cost is not None or settings.budget is not None:
        return settings
    refuse_unknown_prices(plan)
    return replace(settings, budget=plan.estimated)
