"""What `run` and `collect` share: the API that a run folder talks to, and saying how it ended."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from batchgen.client import parse_base_url
from batchgen.credentials import ApiKey, find_key
from batchgen.run import SIMULATED_KEY, SIMULATOR, Binding, Summary, format_summary, simulator, summary_json
from batchgen.text import printable

DEFAULT_BASE_URL = "https://api18.dev"


@dataclass(frozen=True, slots=True)
class Account:
    """An API address and the key for it; a simulated one has no address before its process runs."""

    base_url: str | None
    key: ApiKey

    @property
    def binding(self) -> Binding:
        """The API and the account, as a run folder remembers them."""
        return Binding(self.base_url or SIMULATOR, self.key.fingerprint)

    @contextmanager
    def connected(self, folder: Path) -> Iterator[str]:
        """Give the base URL while the block runs, with a simulator behind it where the money is pretend money."""
        if self.base_url is not None:
            yield self.base_url
        else:
            with simulator(folder) as url:
                yield url


def account_for(
    *, simulate: bool, base_url: str | None, manifest_folder: Path | None, key_file: Path | None
) -> Account:
    """Return the account that the options mean. Raises UsageError for a missing or malformed key or address."""
    if simulate:
        return Account(None, SIMULATED_KEY)
    url = str(parse_base_url(base_url or DEFAULT_BASE_URL)).rstrip("/")
    return Account(url, find_key(manifest_folder, key_file, os.environ))


def tell(summary: Summary, *, as_json: bool, quiet: bool) -> int:
    """Print how a run ended and return its exit code."""
    if as_json:
        click.echo(json.dumps(summary_json(summary), indent=2))
    elif not quiet:
        click.echo(format_summary(summary))
    if summary.stop is not None and (as_json or quiet):
        click.echo(f"stopped: {printable(summary.detail, 2000)}", err=True)
    return summary.exit_code
