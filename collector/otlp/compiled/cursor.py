"""Where a scan stands: the entries of its cursor."""

ATTRIBUTES_END, EVENTS_END, LINKS_END, MADE_END, ROW, CONTEXTS, COMBINATIONS, LAST_COMBINATION = range(8)
"""Where the four output buffers end; how many rows, contexts and combinations there are; the latest combination."""
