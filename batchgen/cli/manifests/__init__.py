"""Commands about manifests: one file a command."""
