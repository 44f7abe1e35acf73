"""Files of users that are tables, read as rows files are: the same delimiters, the same care for where a fault is."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from batchgen.core.errors import ManifestError, UsageError
from batchgen.manifest.entry.row_lines import RowsError
from batchgen.manifest.entry.rows_file import CannotOpenError, open_rows
from batchgen.manifest.yaml.problems import Problems


def read_sheet(
    path: Path, needed: AbstractSet[str], take: Callable[[int, Mapping[str, str]], None], name: str | None = None
) -> None:
    """Read a CSV or TSV file, and call `take` with the line on which each row begins, and its cells by column.

    `needed` are columns that it must have. `take` raises ValueError, whose text says what is wrong with a row. `name`
    is what messages call the file; None: its path. Raises ManifestError with every problem of the file, UsageError if
    it cannot be opened.
    """
    name, problems = name or str(path), Problems(path, strict=True)
    try:
        with open_rows(path, problems, name) as rows:
            if missing := needed - set(rows.columns or ()):
                problems.in_file(name, 1, f"columns are missing: {', '.join(sorted(missing))}")
            else:
                for line, row in rows.rows:
                    try:
                        take(line, row)
                    except ValueError as error:
                        problems.in_file(name, line, str(error))
    except CannotOpenError as error:
        raise UsageError(str(error)) from error
    except RowsError:
        pass  # noted, as the last problem
    if problems.noted:
        found = problems.error()
        raise ManifestError(found.problems, more=found.more, where=name)
