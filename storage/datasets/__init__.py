"""Datasets: versions of entries, in the registry's database."""
