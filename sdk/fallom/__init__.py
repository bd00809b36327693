"""Fallom: sticky model and prompt assignment for LLM applications."""

__version__ = "0.1.0"
