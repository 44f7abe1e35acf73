"""The prices in the API's answers, taken over into journal and budget."""

from batchgen.api import Job, JobStatus
from batchgen.core.text import usd
from batchgen.journal import Attempt
from batchgen.scheduler.run_state import RunState, log
from batchgen.scheduler.tracked_job import TrackedJob


def confirm_price(run_state: RunState, attempt: Attempt) -> None:
    """Tell the budget what an answer said an accepted attempt costs; later ones with its price key reserve as much."""
    if attempt.price_key:
        item = attempt.work.item
        run_state.budget.confirm(attempt.price_key, item.model, attempt.estimated, attempt.charge.counted)


async def update_price(run_state: RunState, tracked: TrackedJob, job: Job) -> None:
    """Record the price that a poll names for a job, if it is the first one or differs from the one before.

    If the answer names no price, a job that is processing or completed confirms the expected one. A failed job does
    not: its cost may be stated after the refund.
    """
    before = tracked.attempt
    price = job.told(before.named_price)
    confirms = price is not None or job.status is not JobStatus.FAILED
    confirmed = not before.price_key or before.price_key in run_state.budget.confirmed
    if price == before.named_price and (confirmed or not confirms):
        return
    after = await run_state.record(run_state.ports.journal.confirm_price, before, price)
    tracked.attempt = after
    if after.charge != before.charge:
        log.info(
            "%s costs $%s instead of $%s (job %s)",
            before.work.item.id, usd(after.charge.charged), usd(before.charge.charged), before.job_id,
        )  # fmt: skip
    run_state.budget.correct(before.work.key, before.charge, after.charge, bought_now=tracked.bought_now)
    confirm_price(run_state, after)
