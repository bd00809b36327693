"""OTLP: from its two encodings to rows, and the answers to its clients."""
