"""From bytes to located nodes: YAML as a stream, and the problems found on the way, at their places."""
