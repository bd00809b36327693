"""Whether an experiment's figures can be trusted, and what is to be known before they are read."""

from analytics.experiments.health.health import Health, health_of

__all__ = ["Health", "health_of"]
