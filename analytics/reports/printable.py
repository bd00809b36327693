"""Names that clients chose, as a terminal, a table or a picture may show them."""

import unicodedata

# Controls, what turns the writing's direction, halves of pairs, what has no meaning; separators of lines.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    """Return the text on one line, with an escape for each character that would do something but be seen."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(character) if unicodedata.category(character) in _UNSAFE else character for character in text
    )


def shortened(text: str, characters_max: int) -> str:
    """Return the text, cut with a mark where it is longer."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
