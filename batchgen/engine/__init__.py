"""One run on many workers: the coordinator owns the run folder, the money and the account's concurrency, and an engine
(Dask) only says where work runs."""
