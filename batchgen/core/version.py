"""Which release this is, and how it is installed."""

__version__ = "0.1.0"
DISTRIBUTION = "batchgen-api18"
"""Its name on the package index, where `batchgen` is another project; command and package are called `batchgen`."""


def install_hint(extra: str) -> str:
    """Return the command that installs an extra, as in: pip install 'batchgen-api18[sim]'."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
