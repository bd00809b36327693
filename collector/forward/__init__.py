"""Forwarding spans to other OTLP endpoints: what is waiting, what it is sent as, how it is sent."""
