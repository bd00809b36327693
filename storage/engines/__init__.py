"""Engines: SQL over committed and hot rows."""
