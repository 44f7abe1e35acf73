"""A run: manifest, plan, consent, folder, scheduler and summary, put together."""

from batchgen.run.consent import capped, reasons_to_ask
from batchgen.run.execution import Invocation, execute
from batchgen.run.folder import bind, mark, opened
from batchgen.run.preparing import Prepared, Request, adopt, parse_states, prepared
from batchgen.run.simulated import simulator
from batchgen.run.summary import Summary, format_summary, summary_json

__all__ = [
    "Invocation",
    "Prepared",
    "Request",
    "Summary",
    "adopt",
    "bind",
    "capped",
    "execute",
    "format_summary",
    "mark",
    "opened",
    "parse_states",
    "prepared",
    "reasons_to_ask",
    "simulator",
    "summary_json",
]
