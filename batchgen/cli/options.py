"""Arguments and options that several commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchgen.cli.output import say
from batchgen.settings import SETTINGS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from batchgen.manifest import Manifest

_F = TypeVar("_F", bound=Callable[..., Any])


def _all(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def apply(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def _runs_of(context: click.Context, _: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """Return, for the shell, the runs in the output folder whose names begin so; files where there are none."""
    from click.shell_completion import CompletionItem

    from batchgen.core.errors import UsageError
    from batchgen.session.locate import is_run, output_folder

    try:
        output = output_folder(None, context.params.get("output"), os.environ)
        runs = sorted(folder.name for folder in output.iterdir() if folder.name.startswith(incomplete))
        found = [CompletionItem(name) for name in runs if is_run(output / name)]
    except (OSError, UsageError):  # the command itself says so
        found = []
    return found or [CompletionItem(incomplete, type="file")]


run_argument = click.argument("run", shell_complete=_runs_of)
runs_argument = click.argument("runs", nargs=-1, metavar="RUN...", shell_complete=_runs_of)
catalog_option = click.option(
    "--catalog",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="BATCHGEN_CATALOG",
    metavar="FILE",
    help="Parameter tables to use in place of the shipped ones (BATCHGEN_CATALOG).",
)
only_option = click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Only items whose id matches a GLOB, or that have a tag: tag:NAME=VALUE. Repeatable.",
)
strict_option = click.option("--strict", is_flag=True, help="Refuse manifests that have warnings.")
_WARNINGS_SHOWN = 10
_METAVARS = {"count": "N", "usd": "USD", "seconds": "SECONDS", "text": "TEXT", "count_or_share": "N|N%"}


def manifest_options(command: _F) -> _F:
    """The manifest, the selected items, and the run folder."""
    return _all(
        click.argument("manifest", type=click.Path(path_type=Path)),
        click.option(
            "--output",
            metavar="DIR|URL",
            help="The output folder, or a place in an object store: s3://BUCKET/PREFIX, gs://…, az://…"
            " (BATCHGEN_OUTPUT).",
        ),
        click.option(
            "--state",
            metavar="DIR",
            help="With an object store: the local folder for journals and ledgers (BATCHGEN_STATE; default: the output"
            " folder without --output).",
        ),
        click.option("--run", "name", metavar="NAME", help="The run folder's name (default: the manifest's name)."),
        only_option,
        click.option(
            "--shard",
            metavar="I/N",
            help="Only the items of one of N shards, I from 0, in the run folder NAME.I-of-N; `auto` or `auto/N` takes"
            " I from the variables of an array job (Kubernetes, AWS Batch, SLURM).",
        ),
        strict_option,
    )(command)


def setting_options(*names: str) -> Callable[[_F], _F]:
    """Flags for the settings that have one; with names, for those only."""
    return _all(
        *(
            click.option(
                setting.option,
                setting.name,
                metavar=f"[{'|'.join(setting.choices)}]" if setting.choices else _METAVARS[setting.kind],
                help=f"{setting.help[0].upper()}{setting.help[1:]}.",
            )
            for setting in SETTINGS
            if setting.flag and (not names or setting.name in names)
        )
    )


def buying_options(command: _F) -> _F:
    """What is bought besides new and changed items, and what is left out."""
    return _all(
        click.option(
            "--retry",
            metavar="STATES",
            default="",
            help="Retry items in these states: failed, rejected, lost (comma-separated); `source` buys sources again"
            " whose files expired before the items that need them were bought.",
        ),
        click.option(
            "--again",
            multiple=True,
            metavar="GLOB",
            help="Buy finished items that match GLOB again; asks first, unless --yes is given. Repeatable.",
        ),
        click.option(
            "--skip-bought",
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="LEDGER",
            help="Leave out what another run has bought: its folder, its ledger, a list from `ledger --as-bought`, or a"
            " folder of such lists. Repeatable.",
        ),
        click.option(
            "--renamed",
            type=click.Choice(["adopt", "buy"]),
            help="For items already bought under another id: adopt the purchases, or buy again. Default: ask.",
        ),
    )(command)


proxy_option = click.option(
    "--proxy",
    metavar="URL",
    envvar="BATCHGEN_PROXY",
    help="The proxy to use, such as http://proxy.example:3128 (BATCHGEN_PROXY; HTTPS_PROXY is ignored).",
)


def connection_options(command: _F) -> _F:
    """The API: its address, the key, and the parameter tables."""
    return _all(
        click.option(
            "--base-url",
            metavar="URL",
            envvar="BATCHGEN_BASE_URL",
            help="The API's address (default https://api18.dev).",
        ),
        click.option(
            "--api-key-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="A file that holds only the key (default: API18_KEY, then .env).",
        ),
        proxy_option,
        catalog_option,
        click.option(
            "--rotated-key", is_flag=True, help="The key is new, but belongs to the account that started the run."
        ),
    )(command)


def notification_options(command: _F) -> _F:
    """Who is told how a run goes."""
    return _all(
        click.option(
            "--ping",
            metavar="URL",
            help="Ping a check as Healthchecks has them: URL/start at the beginning, URL/EXITCODE with the summary at"
            " the end (BATCHGEN_PING).",
        ),
        click.option(
            "--notify",
            metavar="URL",
            help="Post JSON to URL: at the end, at 80 % of a cap, at the first doubt, when submissions pause"
            " (BATCHGEN_NOTIFY).",
        ),
        click.option(
            "--on-exit",
            metavar="CMD",
            help="Run a shell command at the end, with the summary as variables and on standard input"
            " (BATCHGEN_ON_EXIT).",
        ),
    )(command)


def report_options(command: _F) -> _F:
    """How much is printed, and in which form."""
    return _all(
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout."),
        click.option("--quiet", "-q", is_flag=True, help="Show no progress and no final table."),
    )(command)


def tell_warnings(manifest: "Manifest") -> None:
    """Print the first warnings of a manifest to stderr, before anything is asked or bought."""
    from batchgen.manifest import format_warnings

    if text := format_warnings(manifest.warnings, _WARNINGS_SHOWN):
        say(text, err=True)
