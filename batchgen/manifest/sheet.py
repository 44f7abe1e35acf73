"""Files of users that are tables, read as rows files are: the same delimiters, the same care for where a fault is."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from batchgen.core.errors import ManifestError, UsageError
from batchgen.manifest.entry.row_lines import RowsError
from batchgen.manifest.entry.rows_file import CannotOpenError, open_rows
from batchgen.manifest.yaml.problems import Problems


def read_sheet(path: Path, needed: AbstractSet[str], take: Callable[[int, Mapping[str, str]], None]) -> None:
    """Read a CSV or TSV file, and call `take` with the line on which each row begins, and its cells by column.

    `needed` are columns that it must have. `take` raises ValueError, whose text says what is wrong with a row. Raises
    ManifestError with every problem of the file, UsageError if it cannot be opened.
    """
    problems = Problems(path, strict=True)
    try:
        with open_rows(path, problems) as rows:
            if missing := needed - set(rows.columns or ()):
                problems.in_file(str(path), 1, f"columns are missing: {', '.join(sorted(missing))}")
            else:
                for line, row in rows.rows:
                    try:
                        take(line, row)
                    except ValueError as error:
                        problems.in_file(str(path), line, str(error))
    except CannotOpenError as error:
        raise UsageError(str(error)) from error
    except RowsError:
        pass  # noted, as the last problem
    if problems.noted:
        found = problems.error()
        raise ManifestError(found.problems, more=found.more, where=str(path))
