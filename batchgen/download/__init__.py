"""Outputs of jobs: fetched into the store, and checked there later."""

from batchgen.download.checking import check_file
from batchgen.download.fetching import Fetched, Memory, Offload, fetch, stem_of
from batchgen.download.saving import OutputDamaged, OutputUnfamiliar

__all__ = ["Fetched", "Memory", "Offload", "OutputDamaged", "OutputUnfamiliar", "check_file", "fetch", "stem_of"]
