"""Sharing limits with the other runs of an output folder: a month's budget, and the account's concurrency."""

from batchgen.session.sharing.forgetting import forget_run
from batchgen.session.sharing.outlook import month_outlook, unused_limits
from batchgen.session.sharing.taking_part import Sharing, crossed_text, open_budget, sharing

__all__ = ["Sharing", "crossed_text", "forget_run", "month_outlook", "open_budget", "sharing", "unused_limits"]
