"""Shards: one manifest, divided among several runs that need not know of each other."""

from batchgen.shards.environment import shard_asked_for
from batchgen.shards.shard import Shard, shard_number
from batchgen.shards.shares import refuse_idle_shards, share_of

__all__ = ["Shard", "refuse_idle_shards", "shard_asked_for", "shard_number", "share_of"]
