"""For notebooks: a running server's experiments as Polars frames (the extra ``notebook``).

>>> from analytics.client import Client
>>> client = Client("http://127.0.0.1:4318", api_key="…")
>>> client.results("my-agent").comparisons
"""

from analytics.client.client import Client
from analytics.client.errors import ClientError, UnreachableError
from analytics.client.results import Results

__all__ = ["Client", "ClientError", "Results", "UnreachableError"]
