"""Outputs that lie in an object store: the place that a run is bound to, and what is put there beside them."""
