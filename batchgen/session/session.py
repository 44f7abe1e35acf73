"""A session: one purchase, or one collection of what is paid for, from its beginning to the summary.

It says what it does by events, asks by way of its host's consent, and stops when the host's handle says so. It changes
nothing of the process that other threads would feel, so that several run beside each other in one process.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.catalog import Catalog
from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError
from batchgen.journal import FILE_NAME, Journal
from batchgen.plan import Plan
from batchgen.policy.wall_time import shown
from batchgen.session.checks.elsewhere import Known, known_elsewhere
from batchgen.session.checks.evidence import compare_files
from batchgen.session.checks.pictures import place_of_pictures
from batchgen.session.checks.register import Register, registered
from batchgen.session.connection.account import Access, ApiAccount
from batchgen.session.consent import (
    capped,
    confirm_elsewhere,
    confirm_spending,
    decide_renames,
    refuse_unknown_prices,
)
from batchgen.session.execution import execute
from batchgen.session.host import Adopted, Host, Notice, Planned, Waiting
from batchgen.session.open_run import Engine, OpenRun
from batchgen.session.outputs.binding import bind_outputs, check_place, claim
from batchgen.session.outputs.publishing import compare_published_ledger
from batchgen.session.picking import follow_renames
from batchgen.session.prepare import PreparedRun, adopt
from batchgen.session.request import Hours
from batchgen.session.run_folder import bind_account, note_settings, noted_settings, open_run_folder
from batchgen.session.shards import held_shard
from batchgen.session.sharing import sharing, unused_limits
from batchgen.session.summary import Summary
from batchgen.settings import resolve_settings
from batchgen.shared_limits import SharedLimits, read_limits
from batchgen.standing.commands import option_facts
from batchgen.store import ObjectStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(ABC):
    """What both kinds have in common. Each session is run once."""

    access: Access
    host: Host = field(default_factory=Host)

    def run(self) -> Summary:
        """Run to the end, and return what it came to, also where it was stopped early.

        In any thread; a running event loop of this thread stands still meanwhile, so there `run_async` is better.
        Raises ConsentNeeded (nothing was bought), UsageError, OutsideError, RunFolderError.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._run()
        running = self._started()
        try:
            return running.result()
        except KeyboardInterrupt:
            self.host.stop.stop()
            wait([running])
            raise

    async def run_async(self) -> Summary:
        """As `run`, in a thread and an event loop of its own, so that neither loop waits for the other.

        A cancellation stops the session, and is raised once all is recorded; a second one is raised at once, and the
        session stops by itself.
        """
        running = asyncio.wrap_future(self._started())
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.host.stop.stop()
            await asyncio.wait([running])
            running.exception()  # looked at: the caller is to get the cancellation
            raise

    def _started(self) -> Future[Summary]:
        pool = ThreadPoolExecutor(1, "batchgen")
        try:
            return pool.submit(copy_context().run, self._run)
        finally:
            pool.shutdown(wait=False)

    @abstractmethod
    def _run(self) -> Summary:
        """Run in this thread, which has no running event loop."""

    def _tell(self, text: str) -> None:
        self.host.listen(Notice(text))

    def _tell_notices(self, journal: Journal) -> None:
        """Tell what was unusual about a run folder, once it is open: the next opening may find nothing any more."""
        for notice in journal.notices:
            self._tell(notice)

    def _bind(self, journal: Journal, name: str, account: ApiAccount) -> None:
        """Bind an open run folder to the account, or check that it fits."""
        bind_account(journal, name, account.binding, rotated_key=self.access.rotated_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSession(Session):
    """Buys what a prepared manifest lacks, and brings everything that is paid for to its files."""

    prepared: PreparedRun
    wait_for_balance: bool = False
    """Whether an empty balance is waited for."""
    engine: Engine | None = None
    """Where others buy for it; None: it buys alone."""

    def _run(self) -> Summary:
        prepared, host = self.prepared, self.host
        request, folder = prepared.request, prepared.folder
        limits = SharedLimits() if request.simulate else read_limits(folder.parent)
        hours = request.hours(utc_now())
        with ExitStack() as stack:
            shard = stack.enter_context(held_shard(prepared, host.stop, self._tell))
            exists = (folder / FILE_NAME).exists()
            # A folder that exists is owned before anything is asked: what is planned then is what is bought.
            journal = stack.enter_context(open_run_folder(folder, create=True)) if exists else None
            if journal is not None:
                self._tell_notices(journal)
            account = self.access.account(simulate=request.simulate)
            route = self.access.route_to(account, self._tell)
            self._bind_all(journal, account)
            self._tell_notes(hours)
            prepared, plan = decide_renames(prepared, host.consent)
            refuse_unknown_prices(plan)
            register = Register.of(request.environment)
            elsewhere = self._confirm_elsewhere(prepared, plan, account, journal)
            real_money = not account.binding.embedded
            confirm_spending(prepared, plan, host.consent, real_money=real_money)
            pictures = place_of_pictures(prepared, plan, simulated=not real_money)
            if journal is None:
                journal = stack.enter_context(open_run_folder(folder, create=True))
                if journal.facts():
                    raise RunFolderError(f"another run was started in {folder} meanwhile; run again to continue it")
                self._bind_all(journal, account)
            if shard is not None:
                shard.keep_receipts(journal)
            settings = capped(prepared.settings, plan, real_money=real_money)
            self._list(prepared, journal)
            host.listen(Planned(prepared.name, plan, settings, prepared.skipped_as_bought))
            stack.enter_context(registered(register, journal))
            if hours.start is not None:
                host.listen(Waiting(hours.start))
                host.stop.wait_until(hours.start)
                if not host.stop.stop_requested:
                    self._confirm_elsewhere(prepared, plan, account, journal, confirmed=elsewhere)
            url = stack.enter_context(account.connected(journal))
            account.note_simulated(journal)
            shared = stack.enter_context(sharing(journal, limits, self._tell))
            open_run = OpenRun(
                name=prepared.name,
                journal=journal,
                settings=settings,
                catalog=request.catalog,
                base_url=url,
                key=account.key,
                buying=True,
                asked_caps={"max_cost": prepared.settings.max_cost, "budget": prepared.settings.budget},
                pictures=pictures,
                route=route,
                only=request.only,
                until=hours.until,
                wait_for_balance=self.wait_for_balance,
                sharing=shared, shard=shard, engine=self.engine,
            )  # fmt: skip
            return execute(open_run, host)

    def _bind_all(self, journal: Journal | None, account: ApiAccount) -> None:
        """Bind an open run folder to the account and to the place of its outputs, or check that they fit.

        Where there is none yet, look whether a new one may have that place.
        """
        if journal is None:
            if self.prepared.outputs is not None:
                check_place(ObjectStorage(self.prepared.outputs, self.prepared.folder))
            return
        self._bind(journal, self.prepared.name, account)
        bind_outputs(journal, self.prepared.outputs)
        if self.prepared.outputs is not None:
            storage = ObjectStorage(self.prepared.outputs, self.prepared.folder)
            claim(storage, journal)
            compare_published_ledger(storage, journal)

    def _confirm_elsewhere(
        self, prepared: PreparedRun, plan: Plan, account: ApiAccount, journal: Journal | None,
        confirmed: Sequence[Known] = (),
    ) -> Sequence[Known]:  # fmt: skip
        """Ask whether to buy what other records show as bought, beyond what is `confirmed`; return all of it."""
        if not plan.to_buy or prepared.request.buy_again:
            return ()
        known = known_elsewhere(prepared, account.binding, journal, Register.of(prepared.request.environment))
        confirm_elsewhere([one for one in known if one not in confirmed], self.host.consent)
        return known

    def _tell_notes(self, hours: Hours) -> None:
        """Tell what is to be known before anything is asked."""
        for note in self.prepared.notes:
            self._tell(note)
        request = self.prepared.request
        unused = None if request.simulate else unused_limits(self.prepared.folder.parent, request.manifest)
        if unused is not None:
            self._tell(unused)
        if hours.until is not None:
            self._tell(f"nothing is submitted that would end after {shown(hours.until)}")
        if along := len(self.prepared.selection.sources):
            come = "item comes" if along == 1 else "items come"
            self._tell(f"{along:,} {come} along: selected items need their outputs")

    def _list(self, prepared: PreparedRun, journal: Journal) -> None:
        """Make the items of the manifest the requested ones, and requeue those to retry or to buy again."""
        request = prepared.request
        journal.select(prepared.selection.wanted)
        if request.renamed == "adopt" and (adopted := adopt(prepared, journal)):
            self.host.listen(Adopted(adopted))
        journal.list_items(prepared.item_table)
        if request.renamed == "adopt":
            follow_renames(prepared.folder)  # also those of an invocation that crashed here
        compare_files(journal, prepared.folder)
        with journal.transaction():
            note_settings(journal, prepared.manifest.settings)
            journal.note(manifest=str(prepared.manifest.source.absolute()), **option_facts(request.lasting_options))
            journal.requeue_for(sorted(request.retry), request.again, expired_sources=request.retry_sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSession(Session):
    """Polls and downloads what is paid for in a run folder; buys nothing, and needs no manifest."""

    folder: Path
    catalog: Catalog
    environment: Mapping[str, str]
    flags: Mapping[str, str | None] = field(default_factory=dict)
    """Settings that win over the environment and those of the manifest that was run last."""
    ask_lost: bool = False
    """Whether lost jobs are asked for once more, at no cost."""

    def _run(self) -> Summary:
        with open_run_folder(self.folder, create=False) as journal:
            self._tell_notices(journal)
            facts = journal.facts()
            settings = resolve_settings(self.flags, self.environment, noted_settings(facts))
            account = self.access.account_of(facts)
            route = self.access.route_to(account, self._tell)
            name = facts.get("run", self.folder.name)
            self._bind(journal, name, account)
            with account.connected(journal) as url:
                open_run = OpenRun(
                    name=name,
                    journal=journal,
                    settings=settings,
                    catalog=self.catalog,
                    base_url=url,
                    key=account.key,
                    buying=False,
                    route=route,
                    ask_lost=self.ask_lost,
                )
                return execute(open_run, self.host)
