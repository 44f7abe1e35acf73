"""What answers say of prices, taken into the journal and the purse."""

from batchgen.api import Job, JobStatus
from batchgen.journal import Attempt
from batchgen.scheduler.board import Board, Flight, log
from batchgen.text import usd


def learn_price(board: Board, attempt: Attempt) -> None:
    """An answer has confirmed what an accepted attempt costs: further ones of its price key are reserved so."""
    if attempt.price_key:
        item = attempt.work.item
        board.purse = board.purse.learn(attempt.price_key, item.model, attempt.estimated, attempt.charge.counted)


async def hear_price(board: Board, flight: Flight, job: Job) -> None:
    """A poll names the price of a job: of a first one or another one than before take note, and of the first word.

    Where a job at work or completed names none, that confirms the expected price; a failed one confirms nothing, since
    its cost may be told without what was refunded.
    """
    before = flight.attempt
    told = job.told(before.told)
    confirms = told is not None or job.status is not JobStatus.FAILED
    known = not before.price_key or before.price_key in board.purse.prices.confirmed
    if told == before.told and (known or not confirms):
        return
    after = await board.record(board.seams.journal.confirm_price, before, told)
    flight.attempt = after
    if after.charge != before.charge:
        log.info(
            "%s costs $%s, and not $%s (job %s)",
            before.work.item.id, usd(after.charge.charged), usd(before.charge.charged), before.job_id,
        )  # fmt: skip
    board.purse = board.purse.correct(before.charge, after.charge, bought_now=flight.bought_now)
    learn_price(board, after)
