"""The generated pages say what the code says."""

from pathlib import Path

import pytest

from docs import generate

ROOT = Path(generate.__file__).parent


@pytest.mark.parametrize("page", ["configuration", "schema", "dialects"])
def test_a_generated_page_is_up_to_date(page: str) -> None:
    written = (ROOT / f"{page}.md").read_text()

    assert written == getattr(generate, page)(), "run `make docs`"
