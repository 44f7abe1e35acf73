"""What the manifest requests, as the journal takes it over: listed items, renamed ones, and those bought again."""
