"""Manifests: read as YAML, expanded into items, their problems shown where they are.

`load_manifest` reads a manifest as a stream and puts its expanded items into an item table in a scratch SQLite file,
which the journal then takes over; nothing holds the manifest as a whole.
"""

from batchgen.manifest.loading import Manifest, load_manifest
from batchgen.manifest.yaml.manifest_name import read_name
from batchgen.manifest.yaml.problems import Warnings, format_problems, format_warnings

__all__ = ["Manifest", "Warnings", "format_problems", "format_warnings", "load_manifest", "read_name"]
