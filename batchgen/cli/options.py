"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchgen.settings import SETTINGS

if TYPE_CHECKING:
    from batchgen.manifest import Manifest

_F = TypeVar("_F", bound=Callable[..., Any])


def _all(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def apply(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


strict_option = click.option("--strict", is_flag=True, help="Refuse manifests that have warnings.")
_WARNINGS_SHOWN = 10


def manifest_options(command: _F) -> _F:
    """The manifest, the selected items, and the run folder."""
    return _all(
        click.argument("manifest", type=click.Path(path_type=Path)),
        click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT)."),
        click.option("--run", "name", metavar="NAME", help="The run folder's name (default: the manifest's name)."),
        click.option(
            "--only",
            multiple=True,
            metavar="PATTERN",
            help="Only items whose id matches a GLOB, or that have a tag: tag:NAME=VALUE. Repeatable.",
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
                metavar={"count": "N", "usd": "USD", "seconds": "SECONDS", "text": "TEXT"}[setting.kind],
                help=f"{setting.help[0].upper()}{setting.help[1:]}.",
            )
            for setting in SETTINGS
            if setting.flag and (not names or setting.name in names)
        )
    )


proxy_option = click.option(
    "--proxy",
    metavar="URL",
    envvar="BATCHGEN_PROXY",
    help="The proxy to use, such as http://proxy.example:3128 (BATCHGEN_PROXY; HTTPS_PROXY is ignored).",
)


def connection_options(command: _F) -> _F:
    """The API's address and the key."""
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
        click.option(
            "--rotated-key", is_flag=True, help="The key is new, but belongs to the account that started the run."
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
        click.echo(text, err=True)
