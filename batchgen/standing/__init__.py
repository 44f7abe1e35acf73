"""How a run stands: what did not succeed, what repairs it, and how the last invocation ended."""
