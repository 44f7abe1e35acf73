"""The report of a run: one page that is opened from disk, without a network."""

from batchgen.report.scripts import FOLDER
from batchgen.report.writer import FILE_NAME, IN_ONE_FILE, Report, files_of_report, missing_extra, write_report

__all__ = ["FILE_NAME", "FOLDER", "IN_ONE_FILE", "Report", "files_of_report", "missing_extra", "write_report"]
