"""Commands about runs and their folders: one file a command."""
