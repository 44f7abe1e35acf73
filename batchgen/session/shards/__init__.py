"""A shard's lease while a session runs, and what it takes over from those who held it before."""

from batchgen.session.shards.held import held_shard
from batchgen.session.shards.watching import Leased, watch_lease

__all__ = ["Leased", "held_shard", "watch_lease"]
