"""Hands the outputs of a run over: files under names of their own, metadata, cost sheets, marked copies, an archive."""

from batchgen.export.exporting import export_run
from batchgen.export.values import ExportOptions, ExportResult

__all__ = ["ExportOptions", "ExportResult", "export_run"]
