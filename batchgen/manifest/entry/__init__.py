"""From an entry of `items` to requests: header, rows, templates, matrices, seeds."""
