"""Downloads again what differs from the journal, from the account that bought it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from batchgen.api import Api
from batchgen.catalog import Catalog
from batchgen.core.batching import BatchedCalls
from batchgen.core.errors import RunFolderError
from batchgen.core.text import printable
from batchgen.journal import Journal
from batchgen.ledger import write_ledger
from batchgen.scheduler.refetch import Difference, RefetchPorts, refetch
from batchgen.session.connection.account import Access, ApiAccount, call_api
from batchgen.session.repair.verification import Checked, Watch, check
from batchgen.session.run_folder import open_run_folder
from batchgen.store import store_of
from batchgen.store.upload_threads import uploading


def check_and_refetch(
    folder: Path,
    access: Access,
    catalog: Catalog,
    *,
    quick: bool,
    deep: bool = False,
    watch: Watch,
    tell: Callable[[str], None],
) -> tuple[Checked, Sequence[Difference]]:
    """Check the files, download again what differs, and return how it stands then and what differed.

    `tell` is called with what a person should know. Not in a thread whose event loop is running. Raises UsageError,
    RunFolderError, OutsideError.
    """
    differences: list[Difference] = []
    with open_run_folder(folder, create=False) as journal:
        checked = check(folder, quick=quick, deep=deep, found=differences.append, watch=watch)
        if differences:
            differences = _refetched(journal, differences, access, catalog, tell)
            write_ledger(checked.run, folder)
    return replace(checked, differing=sum(not difference.refetched for difference in differences)), differences


def _refetched(
    journal: Journal, damaged: list[Difference], access: Access, catalog: Catalog, tell: Callable[[str], None]
) -> list[Difference]:
    facts = journal.facts()
    account = access.account_of(facts)
    _refuse_other_account(account, facts["api"], facts["account"], rotated_key=access.rotated_key)
    kinds = {model.id: model.output for model in catalog.models.values()}
    store = store_of(journal.path.parent, facts)

    async def work(api: Api) -> list[Difference]:
        async with BatchedCalls("files") as offload, uploading(store) as upload:
            ports = RefetchPorts(api, store, journal, kinds, Random(), offload, upload)  # noqa: S311 - jitter
            return await refetch(ports, damaged)

    return call_api(account, access.route_to(account, tell), journal, work)


def _refuse_other_account(account: ApiAccount, api: str, fingerprint: str, *, rotated_key: bool) -> None:
    if account.binding.api != api:
        raise RunFolderError(
            f"this run was bought from {printable(api)}, not from {account.binding.api}; give the first"
            " address as --base-url"
        )
    # To another account the provider says that the jobs do not exist, which would read as a loss.
    if account.key.fingerprint != fingerprint and not rotated_key:
        raise RunFolderError(
            f"this run belongs to another account (fingerprint {fingerprint}, not {account.key.fingerprint}); use "
            "that key, or --rotated-key if the account only has a new key"
        )
