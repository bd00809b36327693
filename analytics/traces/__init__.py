"""Traces and sessions: lists, trees, conversations, the live tail."""
