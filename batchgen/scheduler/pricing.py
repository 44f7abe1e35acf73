"""What answers say of prices, taken into the journal and the budget."""

from batchgen.api import Job, JobStatus
from batchgen.core.text import usd
from batchgen.journal import Attempt
from batchgen.scheduler.run_state import RunState, TrackedJob, log


def learn_price(run_state: RunState, attempt: Attempt) -> None:
    """An answer has confirmed what an accepted attempt costs: further ones of its price key are reserved so."""
    if attempt.price_key:
        item = attempt.work.item
        run_state.budget.learn(attempt.price_key, item.model, attempt.estimated, attempt.charge.counted)


async def hear_price(run_state: RunState, tracked: TrackedJob, job: Job) -> None:
    """A poll names the price of a job: of a first one or another one than before take note, and of the first word.

    Where a job at work or completed names none, that confirms the expected price; a failed one confirms nothing, since
    its cost may be told without what was refunded.
    """
    before = tracked.attempt
    told = job.told(before.named_price)
    confirms = told is not None or job.status is not JobStatus.FAILED
    known = not before.price_key or before.price_key in run_state.budget.confirmed
    if told == before.named_price and (known or not confirms):
        return
    after = await run_state.record(run_state.ports.journal.confirm_price, before, told)
    tracked.attempt = after
    if after.charge != before.charge:
        log.info(
            "%s costs $%s instead of $%s (job %s)",
            before.work.item.id, usd(after.charge.charged), usd(before.charge.charged), before.job_id,
        )  # fmt: skip
    run_state.budget.correct(before.charge, after.charge, bought_now=tracked.bought_now)
    learn_price(run_state, after)
