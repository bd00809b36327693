"""What of a project's data may reach the disk: content, attributes and texts, as the project's policy says.

Theory of operation. A policy becomes rules, each from RecordBatch to RecordBatch: ``denial`` leaves out attributes,
``content`` drops, hashes or masks what was said, ``redaction`` replaces what patterns find in all texts. They run
before every other processor, so that nothing is derived from what must not be kept. A rule searches the bytes of a
whole column at once (``columns.rows_with``); only rows where something may be found are parsed.
"""
