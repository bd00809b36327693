"""The trace pipeline: receivers, admission, decoding, processors, the log, and the exporter into the lake."""
