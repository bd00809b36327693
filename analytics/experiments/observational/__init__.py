"""Comparisons of groups of sessions that chance did not make: figures with intervals, and never a verdict."""
