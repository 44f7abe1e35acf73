"""`python -m batchgen`."""

import sys

from batchgen.cli.helptext import HELP
from batchgen.core.streams import open_missing


def main() -> None:
    """Start the command line, or show what it can do without loading it."""
    open_missing()
    if sys.argv[1:] in (["-h"], ["--help"]) and _shown():
        return
    from batchgen.cli.boundary import main as start

    start()


def _shown() -> bool:
    """Show the help, and return whether that went well: who may read no further is the command line's matter."""
    try:
        sys.stdout.write(HELP)
        sys.stdout.flush()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
