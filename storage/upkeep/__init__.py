"""Upkeep of the lake while it is used: merging files, dropping what is old, forgetting a customer."""
