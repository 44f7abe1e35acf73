"""A run folder: owned by one process, and bound to the API and the account that it began with."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from batchgen import receipts
from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.files import disk_errors, make_private
from batchgen.core.run_log import LOG_NAME, LOG_NAMES, logging_to
from batchgen.core.text import plural, printable
from batchgen.journal import FILE_NAME, SIMULATED, Binding, Journal, own, own_journal, sqlite_errors
from batchgen.journal.database import refuse_leftovers
from batchgen.journal.merging.marks import refuse_closed
from batchgen.session.checks.evidence import compare_ledger, ledger_evidence
from batchgen.session.file_moves import finish_moves
from batchgen.settings import BY_NAME, parse_setting, setting_text
from batchgen.store import SPOOL, store_of

log = logging.getLogger("batchgen")

_SETTINGS = "settings"
_LIMITS_OF_BUYING = frozenset({"max_cost", "budget", "max_new", "max_failures", "max_flagged", "canary"})


@contextmanager
def open_run_folder(folder: Path, *, create: bool) -> Iterator[Journal]:
    """Own a run folder and open its journal and its log while the block runs.

    `create` makes what is missing. Raises RunFolderError, also for a folder that was merged into another one,
    DiskError, UsageError where a file is in the folder's way.
    """
    if create:
        with disk_errors(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise UsageError(
                    f"{folder} cannot be a run folder: a file is in its way; use another --output"
                ) from error
    elif not folder.is_dir():
        raise RunFolderError(f"there is no run folder {folder}")
    with own(folder, utc_now()):
        refuse_closed(folder)
        with open_owned_folder(folder, create=create) as journal:
            yield journal


@contextmanager
def open_owned_folder(folder: Path, *, create: bool) -> Iterator[Journal]:
    """As `open_run_folder`, for a folder that this process owns already, and whatever marks of merging it has."""
    path = folder / FILE_NAME
    with ExitStack() as stack:
        if create and not path.exists():
            refuse_leftovers(folder)
        stack.enter_context(own_journal(path, create=create))
        stack.enter_context(logging_to(folder / LOG_NAME))  # also what closing the journal has to say
        journal = stack.enter_context(closing(Journal(folder, create=create, evidence=ledger_evidence(folder))))
        for name in (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", receipts.FILE_NAME, *LOG_NAMES):
            make_private(folder / name)
        # Damage may show at any query, long after the opening.
        with sqlite_errors(path):
            compare_ledger(journal, folder)
            for notice in journal.notices:
                log.warning("%s", notice)
            shutil.rmtree(folder / SPOOL, ignore_errors=True)  # what a killed run left: it is fetched again
            finish_moves(store_of(folder, journal.facts()), journal)
            yield journal


def bind_account(journal: Journal, name: str, binding: Binding, *, rotated_key: bool) -> None:
    """Bind a new folder, or check that a bound one fits: another API or account is taken while nothing was bought.

    Nothing is asked of the API for this. Raises RunFolderError where money would mix.
    """
    facts = journal.facts()
    bound = Binding(facts["api"], facts["account"]) if "api" in facts else None
    if bound == binding:
        return
    if bound is not None and (bought := journal.purchase_count()):
        _refuse_mixing(bound, binding, plural(bought, "purchase"), rotated_key=rotated_key)
    # What another address proved to be says nothing of this one.
    proved = facts.get(SIMULATED, "") if bound is not None and bound.api == binding.api else ""
    with journal.transaction():
        journal.note(run=facts.get("run", name), api=binding.api, account=binding.account, **{SIMULATED: proved})


def note_simulated(journal: Journal, *, simulated: bool | None) -> None:
    """Note whether the folder's API proved to be a simulator (None: that is not known) before anything is bought.

    Raises RunFolderError where purchases of the other kind are in the folder.
    """
    facts = journal.facts()
    proved = {None: "", True: "true", False: "false"}[simulated]
    before = facts.get(SIMULATED, "")
    if not proved or proved == before:
        return
    if before and (bought := journal.purchase_count()):
        kind, what = ("real", "a simulator") if simulated else ("simulated", "not a simulator")
        raise RunFolderError(
            f"this run folder holds {plural(bought, 'purchase')}, all of them {kind}, but the API at"
            f" {printable(facts['api'])} is {what} now; simulated and real purchases never mix: use another --run NAME"
        )
    with journal.transaction():
        journal.note(**{SIMULATED: proved})


def _refuse_mixing(bound: Binding, binding: Binding, bought: str, *, rotated_key: bool) -> None:
    if bound.embedded != binding.embedded:
        kind, other = ("simulated", "real") if bound.embedded else ("real", "simulated")
        raise RunFolderError(
            f"this run folder holds {bought}, all of them {kind}, and {other} purchases never mix with them: use"
            " another --run NAME"
        )
    if bound.api != binding.api:
        raise RunFolderError(
            f"this run folder holds {bought} made at {printable(bound.api)}, not at {binding.api}; "
            f"use --base-url {printable(bound.api)}, or another --run NAME"
        )
    if not rotated_key:
        raise RunFolderError(
            f"this run folder holds {bought} of another account (fingerprint {printable(bound.account, 40)}, not "
            f"{binding.account}); use that key, --rotated-key if the account only has a new key, or another --run NAME"
        )


def note_settings(journal: Journal, settings: Mapping[str, Any]) -> None:
    """Note a manifest's settings, for those who continue without it; inside a transaction."""
    journal.note(**{_SETTINGS: json.dumps({name: setting_text(value) for name, value in settings.items()})})


def noted_settings(facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of the manifest that was run last, without limits of buying. Raises RunFolderError."""
    try:
        return {
            name: parse_setting(BY_NAME[name], text)
            for name, text in json.loads(facts.get(_SETTINGS, "{}")).items()
            if name in BY_NAME and name not in _LIMITS_OF_BUYING  # a newer release may know more
        }
    except (ValueError, AttributeError) as error:
        raise RunFolderError(
            "the settings in the run folder's journal cannot be read; restore the journal from a backup"
        ) from error
