"""Rows of a query as JSON values, as users' SQL answers them too."""

from storage.json_values import json_rows, json_value

__all__ = ["json_rows", "json_value"]
