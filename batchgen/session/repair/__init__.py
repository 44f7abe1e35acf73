"""What sets a run folder right: a journal rebuilt, doubts settled, files downloaded again. Nothing is bought."""
