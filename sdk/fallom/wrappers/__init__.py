"""One file a library: how its calls are seen, and read."""
