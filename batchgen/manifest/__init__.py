"""Manifests: read as YAML, expanded into items, their problems shown where they are.

`stage_manifest` reads a manifest as a stream and stages its expanded items in a scratch SQLite file, which the journal
then takes over; nothing holds the manifest as a whole.
"""

from batchgen.manifest.naming import read_name
from batchgen.manifest.problems import Warnings, format_problems, format_warnings
from batchgen.manifest.staging import Manifest, stage_manifest

__all__ = ["Manifest", "Warnings", "format_problems", "format_warnings", "read_name", "stage_manifest"]
