"""Judges what was delivered: against what was ordered, what the manifest expects, and the item's other outputs."""
