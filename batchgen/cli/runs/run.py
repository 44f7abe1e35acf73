"""`batchgen run`."""

import json
import os
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchgen.cli.options import (
    connection_options,
    manifest_options,
    report_options,
    setting_options,
    tell_warnings,
)

if TYPE_CHECKING:
    from batchgen.cli.account import ApiAccount
    from batchgen.journal import Journal
    from batchgen.plan import Plan
    from batchgen.session import PreparedRun, Summary
    from batchgen.session.checks.elsewhere import Known
    from batchgen.settings import Settings

_FOLDERS_TOLD = 3
"""Places with purchases of the same items that are told one by one."""


@click.command("run")
@manifest_options
@setting_options()
@click.option("--retry", metavar="STATES", default="", help="Try again: failed, rejected, lost (a comma between them).")
@click.option(
    "--again",
    multiple=True,
    metavar="GLOB",
    help="Buy finished items that fit once more; asks, or needs --yes. Repeatable.",
)
@click.option(
    "--skip-bought",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="LEDGER",
    help="Leave out what another run has bought: its folder, ledger, or list of `ledger --as-bought`. Repeatable.",
)
@click.option(
    "--renamed",
    type=click.Choice(["adopt", "buy"]),
    help="Items bought already under another id: adopt the purchases, or buy them again. Asks otherwise.",
)
@click.option(
    "--buy-again", is_flag=True, help="Buy also what another run folder, or an earlier state of this one, has bought."
)
@click.option("--yes", "-y", is_flag=True, help="Agree to what would be asked; without a cap, up to the estimate.")
@click.option("--wait-for-balance", is_flag=True, help="When the balance is used up, wait until it is topped up.")
@click.option(
    "--simulate",
    is_flag=True,
    help="Run against an embedded simulator, in the run folder NAME.simulated: no key, no money.",
)
@connection_options
@report_options
def command(manifest: Path, **options: Any) -> int:
    """Buy what is missing, download it, and write the ledger.

    The same command resumes: what is bought already is never bought again. With --simulate nothing leaves this
    machine. Prompts and reference images must be lawful, and used with the consent of the people they show.
    """
    from batchgen.catalog import load_catalog
    from batchgen.cli.account import tell
    from batchgen.journal import BuyAgain
    from batchgen.session import RunRequest, parse_states, prepared

    request = RunRequest(
        manifest=manifest,
        environment=os.environ,
        catalog=load_catalog(),
        output=options["output"],
        name=options["name"],
        simulate=options["simulate"],
        only=options["only"],
        strict=options["strict"],
        flags=options,
        retry=parse_states(options["retry"]),
        again=BuyAgain(options["again"]),
        skip_bought=options["skip_bought"],
        renamed=options["renamed"],
    )
    with prepared(request) as ready:
        tell_warnings(ready.manifest)
        summary = _run(ready, options)
    if summary is None:
        click.echo("nothing was bought", err=True)
        return 2
    return tell(summary, as_json=options["as_json"], quiet=options["quiet"])


def _run(ready: "PreparedRun", options: dict[str, Any]) -> "Summary | None":
    """Own the folder, ask, list, and execute; None where the user said no."""
    from batchgen.cli.account import account_for, mark_if_simulated, route_to, tell_notices
    from batchgen.core.errors import RunFolderError
    from batchgen.journal import FILE_NAME
    from batchgen.session import Invocation, bind, capped, execute, opened
    from batchgen.session.checks.elsewhere import known_elsewhere
    from batchgen.session.checks.register import Register, registered

    exists = (ready.folder / FILE_NAME).exists()
    with ExitStack() as stack:
        # A folder that exists is owned before anything is asked: what is planned then is what is bought.
        journal = stack.enter_context(opened(ready.folder, create=True)) if exists else None
        account = account_for(
            simulate=options["simulate"],
            base_url=options["base_url"],
            manifest_folder=ready.request.manifest.parent,
            key_file=options["api_key_file"],
        )
        route = route_to(account, options["proxy"])
        if journal is not None:
            tell_notices(journal)
            bind(journal, ready.name, account.binding, rotated_key=options["rotated_key"])
        ready = _with_renames_decided(ready)
        plan = ready.plan()
        register = Register.of(os.environ)
        if plan.to_buy and not options["buy_again"]:
            known = known_elsewhere(ready, account.binding, journal, register)
            if known and not _agreed_to_buy_again(known):
                return None
        if not _agreed(ready, plan, yes=options["yes"], account=account):
            return None
        if journal is None:
            journal = stack.enter_context(opened(ready.folder, create=True))
            if journal.facts():
                raise RunFolderError(f"another run has begun in {ready.folder} meanwhile; run again to go on with it")
            bind(journal, ready.name, account.binding, rotated_key=options["rotated_key"])
        settings = capped(ready.settings, plan, real_money=not account.binding.embedded)
        _list(ready, journal)
        _announce(ready, plan, settings, quiet=options["quiet"])
        stack.enter_context(registered(register, journal))
        url = stack.enter_context(account.connected(ready.folder))
        mark_if_simulated(account, journal)
        return execute(
            Invocation(
                name=ready.name,
                folder=ready.folder,
                journal=journal,
                settings=settings,
                catalog=ready.request.catalog,
                base_url=url,
                key=account.key,
                buying=True,
                quiet=options["quiet"],
                route=route,
                wait_for_balance=options["wait_for_balance"],
            )
        )


def _with_renames_decided(ready: "PreparedRun") -> "PreparedRun":
    """Return what to prepare once it is known what becomes of purchases that are asked for under another id.

    No `--yes` decides that: adopting and buying again are both what somebody may want. Raises ConsentError where nobody
    can be asked, click.Abort where nobody answers.
    """
    from dataclasses import replace

    from batchgen.core.errors import ConsentError
    from batchgen.plan import told_renames
    from batchgen.session.prepare import Renaming

    if ready.request.renamed is not None:
        return ready
    renamed = ready.plan().renamed
    if not renamed.items:
        return ready
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConsentError(
            f"{told_renames(renamed)}: give --renamed adopt to keep what was bought under the new id, or --renamed buy"
            " to buy it again (--yes does not decide this)"
        )
    click.echo(told_renames(renamed), err=True)
    answer: Renaming = click.prompt(
        "adopt what was bought, or buy it again?", type=click.Choice(["adopt", "buy"]), err=True
    )
    return replace(ready, request=replace(ready.request, renamed=answer))


def _agreed_to_buy_again(known: "list[Known]") -> bool:
    """Whether what other books show as bought may be paid for once more. Raises ConsentError where nobody is there.

    Neither `--yes` nor a name given with `--run` says so.
    """
    from batchgen.core.errors import ConsentError

    told = [found.sentence for found in known[:_FOLDERS_TOLD]]
    if len(known) > _FOLDERS_TOLD:
        told.append(f"{len(known) - _FOLDERS_TOLD:,} more places know of purchases")
    paths = [shlex.quote(str(found.path)) for found in known[:_FOLDERS_TOLD] if found.path is not None]
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        flags = " ".join(f"--skip-bought {path}" for path in paths) or "--skip-bought PATH (its folder or its ledger)"
        raise ConsentError(f"{'; '.join(told)}: give {flags} to leave that out, or --buy-again to pay for it once more")
    for sentence in told:
        click.echo(sentence, err=True)
    return click.confirm("buy all of it again?", default=False, err=True)


def _agreed(ready: "PreparedRun", plan: "Plan", *, yes: bool, account: "ApiAccount") -> bool:
    """Whether the run may start. Raises ConsentError where nobody can be asked."""
    from batchgen.core.errors import ConsentError
    from batchgen.session import reasons_to_ask

    reasons = reasons_to_ask(plan, ready.request, ready.settings, real_money=not account.binding.embedded)
    if not reasons or yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConsentError(f"{'; '.join(reasons)}: give --yes to agree{_or_a_cap(ready)}")
    for reason in reasons:
        click.echo(reason, err=True)
    if plan.changed:
        click.echo(f"changed: {', '.join(ready.edited_ids(10))}{', …' if plan.changed > 10 else ''}", err=True)
    return click.confirm("go on?", default=False, err=True)


def _or_a_cap(ready: "PreparedRun") -> str:
    capped = ready.settings.max_cost is not None or ready.settings.budget is not None
    return "" if capped else ", or set --max-cost or --budget"


def _list(ready: "PreparedRun", journal: "Journal") -> None:
    """Make the staged items the listed ones, and open again what was asked for."""
    from batchgen.core.text import plural
    from batchgen.session import adopt
    from batchgen.session.checks.evidence import compare_files
    from batchgen.settings import setting_text

    journal.select(ready.selection.wanted)
    if ready.request.renamed == "adopt" and (adopted := adopt(ready, journal)):
        click.echo(f"{plural(adopted, 'item')} adopted under another id; nothing is bought for that", err=True)
    journal.list_items(ready.stage)
    compare_files(journal, ready.folder)
    settings = {name: setting_text(value) for name, value in ready.manifest.settings.items()}
    with journal.transaction():
        journal.note(settings=json.dumps(settings))
        journal.requeue_for(sorted(ready.request.retry), ready.request.again)


def _announce(ready: "PreparedRun", plan: "Plan", settings: "Settings", *, quiet: bool) -> None:
    from batchgen.core.text import plural, usd

    if quiet:
        return
    if ready.skipped_as_bought:
        click.echo(f"{plural(ready.skipped_as_bought, 'item')} left out: another ledger shows them as bought", err=True)
    caps = [f"{name} ${usd(cap)}" for name in ("max_cost", "budget") if (cap := getattr(settings, name)) is not None]
    limits = f" ({', '.join(caps)})" if caps else ""
    click.echo(f"{ready.name}: to buy {plural(plan.to_buy, 'item')} for ${usd(plan.estimated)}{limits}", err=True)
