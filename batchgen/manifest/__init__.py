"""Manifests: read as YAML, expanded into items, their problems shown where they are.

`stage_manifest` reads a manifest as a stream and stages its expanded items in a scratch SQLite file, which the journal
then takes over; nothing holds the manifest as a whole.
"""

from batchgen.manifest.naming import read_name
from batchgen.manifest.problems import format_problems
from batchgen.manifest.staging import Manifest, stage_manifest

__all__ = ["Manifest", "format_problems", "read_name", "stage_manifest"]
