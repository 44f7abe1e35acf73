"""Manifests: from bytes to items, with every problem shown where it is written.

Each entry passes through these modules in order:

1. `yaml.reader` and `yaml.document`: bytes to `yaml.nodes`, values that know their line and column
2. `entry.header`: the manifest's top-level keys
3. `entry.fast_path` for an entry without variables or copies; for all others `entry.entry_spec` (its keys checked),
   `entry.rows_file` (its rows), `entry.compiled_entry` (its templates parsed) and `entry.expansion` (one request
   after the other)
4. `item.builder`: a request checked against the catalogue, with id, digest, price and path, into `batchgen.item_table`
5. `item.duplicates`: ids and paths that several items want

`load_manifest` reads a manifest as a stream and puts its expanded items into an item table in a scratch SQLite file,
which the journal then takes over; the whole manifest is never in memory.
"""

from batchgen.manifest.loading import Manifest, load_manifest
from batchgen.manifest.manifest_name import read_name
from batchgen.manifest.yaml.problems import Warnings, format_problems, format_warnings

__all__ = ["Manifest", "Warnings", "format_problems", "format_warnings", "load_manifest", "read_name"]
