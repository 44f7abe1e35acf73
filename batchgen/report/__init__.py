"""The report of a run: one page that is opened from disk, without a network.

What writes it is in `writer`, and not offered here: a run whose report stays as it is loads no page.
"""

from batchgen.report.files import FILE_NAME, FOLDER, IN_ONE_FILE, files_of_report, missing_extra

__all__ = ["FILE_NAME", "FOLDER", "IN_ONE_FILE", "files_of_report", "missing_extra"]
