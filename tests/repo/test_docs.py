"""What is written down is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from console import reference, staging, systems
from schemas.events import EVENT_TYPES
from schemas.topics import TOPICS
from testbed import faults, oddities

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def test_the_configuration_page_is_the_one_the_settings_give() -> None:
    """When it is not: python -m console.reference > docs/configuration.md."""
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert reference.page() == written


def test_the_demo_under_compose_plays_every_system_there_is() -> None:
    """When it does not: python -m console.staging > deploy/demo.toml."""
    written = (ROOT / "deploy" / "demo.toml").read_text(encoding="utf-8")

    assert staging.page() == written


def test_the_page_of_faults_holds_the_catalogue() -> None:
    """When it does not: put what testbed.faults.table gives in its place, and of oddities."""
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")

    assert faults.table() in page
    assert oddities.table() in page


def test_the_page_of_systems_is_the_one_the_sources_give() -> None:
    """When it is not: python -m console.systems > docs/systems.md."""
    written = (ROOT / "docs" / "systems.md").read_text(encoding="utf-8")

    assert systems.page() == written


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_event_type_is_in_the_readme(event_type: str) -> None:
    """A subscriber finds what to subscribe to."""
    assert f"`{event_type}`" in README


def test_every_topic_is_on_the_architecture_page() -> None:
    """Named as on a cluster with the default prefix."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")

    assert [] == [topic.name for topic in TOPICS if f"`shipfeed.{topic.name}`" not in text]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_every_test_a_page_names_exists(path: Path) -> None:
    """A reader who follows a reference arrives."""
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    missing = [link for link in links if not (path.parent / link).exists()]
    tests = re.findall(r"`(tests/[\w/.]+?)(?:::(\w+))?`", text)
    missing += [file for file, _ in tests if not (ROOT / file).exists()]
    missing += [
        name for file, name in tests if name and name not in (ROOT / file).read_text("utf-8")
    ]

    assert [] == missing


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("consume.py", "consuming.md"),
        ("bootstrap.py", "consuming.md"),
        ("tail.sh", "consuming.md"),
        ("receive_webhooks.py", "subscriptions.md"),
        ("follow_stream.py", "subscriptions.md"),
    ],
)
def test_a_page_shows_the_examples_as_they_are(name: str, page: str) -> None:
    """Whole; when it does not, copy the file into the page."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")

    assert f"\n{(ROOT / 'examples' / name).read_text(encoding='utf-8')}```\n" in text


def test_decisions_have_numbers_of_their_own() -> None:
    """Two pages under one number could not be told apart in a sentence."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    headings = [page.read_text().splitlines()[0][:7] for page in pages]
    assert len(set(numbers)) == len(numbers)
    assert headings == [f"# {number}:" for number in numbers]
