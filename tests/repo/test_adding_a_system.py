"""The page that adds a system shows the files of the example as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "adding_a_system"
PAGE = (ROOT / "docs" / "adding-a-system.md").read_text(encoding="utf-8")
# How long they may grow, in lines: the example stays one that is read.
LINES_MAX = {
    "services/poller/sources/acme_parcels.py": 116,
    "services/normalizer/mappers/acme_parcels.py": 95,
    "testbed/simulators/acme_parcels.py": 95,
    "tests/systems/test_acme_parcels.py": 55,
}


def test_the_example_is_four_files() -> None:
    """Source, mapper, simulator, system test, each where it belongs in the checkout."""
    found = {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*.py")}

    assert set(LINES_MAX) == found


@pytest.mark.parametrize("name", LINES_MAX)
def test_the_page_shows_each_file_as_it_is(name: str) -> None:
    """Whole, below its name; when it does not, copy the file into the page."""
    text = (EXAMPLE / name).read_text(encoding="utf-8")

    assert f"`examples/adding_a_system/{name}`:\n\n```python\n{text}```\n" in PAGE
    assert len(text.splitlines()) <= LINES_MAX[name]
