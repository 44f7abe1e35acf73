"""The engine: where work runs. It is asked to run tickets, and knows nothing of items or money."""
