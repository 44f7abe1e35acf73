"""Which API a session uses, with which key, and by which way; or one of its own, pretended."""
