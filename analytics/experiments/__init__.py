"""Experiments: who is in one, what is measured, what can be concluded."""
