"""A run as a session: prepare → plan → confirm → execute → summary, for any program around it.

`prepare` reads and checks a manifest, and its `plan()` says what would be bought. A `RunSession` or a `CollectSession`
takes that, the access to the API and a host (events out, questions, a stop handle), and returns the summary.
"""

from batchgen.session.account import DEFAULT_BASE_URL, Access, ApiAccount
from batchgen.session.consent import BoughtElsewhere, Consent, NoConsent, RenamedItems, Spending
from batchgen.session.host import Adopted, Ended, Event, Host, Listener, Notice, Planned, Snapshot, Started, StopHandle
from batchgen.session.prepare import PreparedRun, RunRequest, parse_states, prepare
from batchgen.session.run_folder import bind_account, open_run_folder
from batchgen.session.session import CollectSession, RunSession, Session
from batchgen.session.summary import Summary, format_summary, summary_json

__all__ = [
    "DEFAULT_BASE_URL", "Access", "Adopted", "ApiAccount", "BoughtElsewhere", "CollectSession", "Consent", "Ended",
    "Event", "Host", "Listener", "NoConsent", "Notice", "Planned", "PreparedRun", "RenamedItems", "RunRequest",
    "RunSession", "Session", "Snapshot", "Spending", "Started", "StopHandle", "Summary", "bind_account",
    "format_summary", "open_run_folder", "parse_states", "prepare", "summary_json",
]  # fmt: skip
