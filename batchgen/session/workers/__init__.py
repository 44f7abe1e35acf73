"""Other processes that buy for a run: the seam to the engine that runs them, and what they leave behind."""
