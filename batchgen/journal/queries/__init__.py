"""Questions to a journal, for those who read it beside a run."""
