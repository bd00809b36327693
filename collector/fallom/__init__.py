"""What Fallom's clients send beside OTLP: the flat trace, custom metrics, exposures."""
