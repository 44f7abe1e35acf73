"""How the API is to be reached, from the options of a command."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from batchgen.core.credentials import find_key
from batchgen.library.runs import access_from
from batchgen.session.connection.account import Access


def access_of(options: Mapping[str, Any], manifest: Path) -> Access:
    """Return what `connection_options` say; a `.env` is looked for beside `manifest`, if that is a file."""
    folder = manifest.parent if manifest.is_file() else None
    return access_from(
        options,
        lambda: find_key(folder, options["api_key_file"], os.environ),
        base_url_is_default=not _typed("base_url"),
    )


def _typed(parameter: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE
