"""The command ``fallom-server``: reads the settings, puts the parts together, runs them. It alone knows them all."""

from server.commands import main, run

__all__ = ["main", "run"]
