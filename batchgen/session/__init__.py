"""A run: manifest, plan, consent, folder, scheduler and summary, put together."""

from batchgen.session.consent import capped, reasons_to_ask
from batchgen.session.embedded_simulator import simulator
from batchgen.session.execution import Invocation, execute
from batchgen.session.prepare import PreparedRun, RunRequest, adopt, parse_states, prepared
from batchgen.session.run_folder import bind, mark, opened
from batchgen.session.summary import Summary, format_summary, summary_json

__all__ = [
    "Invocation",
    "PreparedRun",
    "RunRequest",
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
