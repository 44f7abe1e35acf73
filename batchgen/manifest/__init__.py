"""Manifests: from bytes to items, with every problem shown where it is written.

Each entry passes through these modules in order:

1. `yaml.reader` and `yaml.document`: bytes to `yaml.nodes`, values that know their line and column
2. `entry.header`: the manifest's top-level keys
3. `entry.fast_path` for an entry without variables or copies; for all others `entry.entry_spec` (its keys checked),
   `entry.rows_file` (its rows), `entry.compiled_entry` (its templates parsed) and `entry.expansion` (one request
   after the other)
4. `item.builder`: a request checked against the catalogue, with id, digest, price and path, into `batchgen.item_table`
5. `item.duplicates`: ids and paths that several items want
6. `item.chains`: outputs of other items that items need

`load_manifest` reads a manifest as a stream and puts its expanded items into an item table in a scratch SQLite file,
which the journal then takes over; the whole manifest is never in memory.
"""

from batchgen.manifest.item.chains import assign_shards, take_picks
from batchgen.manifest.loading import Manifest, load_manifest
from batchgen.manifest.manifest_name import read_name
from batchgen.manifest.named_files import NamedFiles, named_files
from batchgen.manifest.sheet import read_sheet
from batchgen.manifest.yaml.problems import Warnings, format_problems, format_warnings

__all__ = [
    "Manifest",
    "NamedFiles",
    "Warnings",
    "assign_shards",
    "format_problems",
    "format_warnings",
    "load_manifest",
    "named_files",
    "read_name",
    "read_sheet",
    "take_picks",
]
