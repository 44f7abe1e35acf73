"""Sharing limits with the other runs of an output folder: a month's budget, and the account's concurrency."""

from batchgen.session.sharing.outlook import month_outlook, unused_limits
from batchgen.session.sharing.part import crossed_text, open_budget, sharing
from batchgen.session.sharing.shared import Sharing

__all__ = ["Sharing", "crossed_text", "month_outlook", "open_budget", "sharing", "unused_limits"]
