"""What spreadsheets make of texts in a CSV file: what begins like a formula is computed, and may send data off."""

import re

# A tab or a line's end before one of these is skipped by some of them.
_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def inert(text: str) -> str:
    """Return the text with an apostrophe before it where a spreadsheet would compute it; a number stays one."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
