"""A picture as PNG, by resvg: the extra ``plot``."""

from __future__ import annotations

_SCALE = 2.0
# Which of these a machine has; resvg draws no text at all where it knows no font by name.
_FONT_FAMILIES = ("Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "Noto Sans")


class PngError(Exception):
    """The picture can't be made here; the text says what is missing."""


def png_of(svg: str) -> bytes:
    """Return the picture as PNG, twice as large for sharp print. Raises PngError without resvg, or without a font."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise PngError("a PNG needs resvg: pip install 'fallom-server[plot]', or ask for SVG") from error
    if _rendered_text("") == _rendered_text("lift"):
        families = ", ".join(_FONT_FAMILIES)
        raise PngError(
            f"a PNG needs a font, and none of {families} is installed: apt install fonts-dejavu-core, or ask for SVG"
        )
    return bytes(svg_to_bytes(svg_string=svg, zoom=_SCALE))


def _rendered_text(text: str) -> bytes:
    from resvg_py import svg_to_bytes

    families = ", ".join(f"'{family}'" for family in _FONT_FAMILIES)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">'
        f'<text x="2" y="15" font-family="{families}" font-size="14">{text}</text></svg>'
    )
    return bytes(svg_to_bytes(svg_string=svg))
