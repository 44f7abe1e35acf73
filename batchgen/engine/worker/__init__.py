"""What runs on a worker: a scheduler of its own over a journal of its own, which buys what the coordinator grants."""
