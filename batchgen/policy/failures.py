"""When so many items have failed, or brought flagged files, that buying stops (`max_failures`, `max_flagged`)."""

from batchgen.core.limits import Count, Share

FEWEST_ENDED = 20
"""Before so many items have ended, a share says nothing: one failure among ten is 10 %, and may be chance."""


def beyond(limit: Count | Share | None, bad: int, ended: int) -> bool:
    """Return whether to stop: as many are bad as a count allows, or more than a share of those that have ended.

    A share is not looked at before `FEWEST_ENDED` items have ended, nor before so many that a single bad one is within
    it (100 at 1 %). It is meant to be asked after each bad one: other items only make the share smaller.
    """
    if limit is None:
        return False
    if isinstance(limit, Count):
        return bad >= limit.number
    allowed = limit.percent * ended
    return ended >= FEWEST_ENDED and allowed >= 100 and bad * 100 > allowed
