"""Sharing limits with the other runs of an output folder: a month's budget, and the account's concurrency."""

from batchgen.session.sharing.outlook import month_outlook, unused_limits
from batchgen.session.sharing.part import Sharing, crossed_text, open_budget, sharing

__all__ = ["Sharing", "crossed_text", "month_outlook", "open_budget", "sharing", "unused_limits"]
