"""The SDK's version, as the distribution has it."""

__version__ = "0.1.0"
