"""The table of tracking numbers: what a field holds, and what is read from it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.normalizer.tracking_numbers import (
    is_placeholder,
    normalized_number,
    read_trackings,
    url_identity,
)

NUMBER = "1Z999AA10123456784"
FULL_WIDTH = "".join(chr(ord(one) + 0xFEE0) for one in "1Z999AA10123")
LINK = "https://track.example/1"

ONE_NUMBER = [
    NUMBER,
    f" {NUMBER} ",
    f"{NUMBER}\n",
    f"\t{NUMBER}\r\n",
    f"\ufeff{NUMBER}",
    f"{NUMBER[:9]}\u200b{NUMBER[9:]}",
    f"{NUMBER}\u00a0",
    f"\u202a{NUMBER}\u202c",
    f"{NUMBER[:4]}\u00ad{NUMBER[4:]}",
    f"{NUMBER}\x00",
    f"{NUMBER[:3]}\x1f{NUMBER[3:]}",
    f'"{NUMBER}"',
    f"'{NUMBER}",
    f"\u201c{NUMBER}\u201d",
    f"`{NUMBER}`",
    f'="{NUMBER}"',
    f"{NUMBER},",
    f"{NUMBER};{NUMBER}",
    [NUMBER, NUMBER],
    [NUMBER, None, ""],
    f"{NUMBER}, N/A",
]
SEVERAL = {
    "1Z1, 1Z2": ["1Z1", "1Z2"],
    "1Z1;1Z2": ["1Z1", "1Z2"],
    "1Z1 | 1Z2": ["1Z1", "1Z2"],
    "1Z1\n1Z2\r\n1Z3": ["1Z1", "1Z2", "1Z3"],
    "1Z1\u20281Z2": ["1Z1", "1Z2"],
    "1Z1\uff0c1Z2": ["1Z1", "1Z2"],
    "9400 1000 0000 0000": ["9400 1000 0000 0000"],
    "ABC-123": ["ABC-123"],
    "A1/B2": ["A1/B2"],
}
TYPED = [
    (123456789012, "123456789012"),
    (Decimal(123456789012), "123456789012"),
    (Decimal("1.23456789012E+11"), "123456789012"),
    (Decimal("123456789012.0"), "123456789012"),
    ("00123", "00123"),
]
NO_NUMBER = [
    None,
    "",
    " ",
    "-",
    "--",
    "—",
    ".",
    "N/A",
    "n/a",
    "n.a.",
    "NA",
    "None",
    "NULL",
    "null",
    "NaN",
    "TBD",
    "tba",
    "pending",
    "unknown",
    "undefined",
    "No tracking",
    "no-tracking",
    "not available",
    "Untracked",
    "0",
    "0000000000",
    0,
    "\u200b",
    '""',
    "[]",
    [None, "N/A"],
]
UNREADABLE = [[], True, {"number": "1Z1"}, "9.4001E+21", "1,23457E+11", "9" * 201, [{"n": 1}]]


@pytest.mark.parametrize("field", ONE_NUMBER)
def test_what_copy_and_paste_leave_behind_is_no_part_of_a_number(field: object) -> None:
    """The number is the one that people see."""
    (found,) = read_trackings(field)

    assert (NUMBER, NUMBER) == (found.number, found.number_normalized)


@pytest.mark.parametrize(("field", "numbers"), SEVERAL.items())
def test_separators_make_several_numbers_and_spaces_do_not(field: str, numbers: list[str]) -> None:
    """Comma, semicolon, line break and bar separate; space, hyphen and slash are in numbers."""
    assert numbers == [one.number for one in read_trackings(field)]


@pytest.mark.parametrize(("field", "number"), TYPED)
def test_a_number_of_json_is_its_digits(field: object, number: str) -> None:
    """Never in exponent form, leading zeros of a text kept."""
    assert [number] == [one.number for one in read_trackings(field)]


@pytest.mark.parametrize("field", NO_NUMBER)
def test_a_placeholder_is_no_number(field: object) -> None:
    """What people and serializers write where there is none."""
    assert () == read_trackings(field)


@pytest.mark.parametrize("field", UNREADABLE)
def test_what_cannot_be_a_number_is_refused(field: object) -> None:
    """An object, digits that a spreadsheet has cut off, a text about a package."""
    with pytest.raises(ValueError, match=r"expected|not a tracking number"):
        read_trackings(field)


@pytest.mark.parametrize(
    ("numbers", "urls", "paired"),
    [
        ("A1", LINK, [("A1", LINK)]),
        ("A1", "//track.example/1", [("A1", LINK)]),
        ("A1,B2", f"{LINK}, https://track.example/2", [("A1", LINK), ("B2", f"{LINK[:-1]}2")]),
        (["A1", "B2"], [LINK, f"{LINK[:-1]}2"], [("A1", LINK), ("B2", f"{LINK[:-1]}2")]),
        ("A1,B2", LINK, [("A1", LINK), ("B2", LINK)]),
        ("A1,B2,C3", [LINK, f"{LINK[:-1]}2"], [("A1", None), ("B2", None), ("C3", None)]),
        ("A1", "N/A", [("A1", None)]),
        ("A1", "https://t.example/?n=1,2;3|4", [("A1", "https://t.example/?n=1,2;3|4")]),
        (None, LINK, [(None, LINK)]),
        ("N/A", LINK, [(None, LINK)]),
        (LINK, None, [(None, LINK)]),
    ],
)
def test_urls_go_with_numbers_by_place_only_when_the_counts_agree(
    numbers: object, urls: object, paired: list[tuple[str | None, str | None]]
) -> None:
    """One for all goes with each; a URL alone is a tracking without a number."""
    assert paired == [(one.number, one.url) for one in read_trackings(numbers, urls)]


@pytest.mark.parametrize(
    "written",
    ["1z-999 aa1.0123", FULL_WIDTH, "1Z999AA10123\u200b", "'1Z999AA10123'"],
)
def test_equal_numbers_are_equal_in_their_normal_form(written: str) -> None:
    """Case, width, spaces, hyphens, dots, quotes and unseen characters make no difference."""
    assert normalized_number(written) == "1Z999AA10123"


def test_placeholders_are_no_ordinary_numbers() -> None:
    """A number with one digit that is not 0 is a number."""
    assert not any(map(is_placeholder, ["0001", "N1", "1Z", "NA123", "x1"]))


def test_a_url_is_known_without_its_signature() -> None:
    """Query and fragment change from read to read."""
    assert url_identity(f"{LINK}?sig=1#a") == url_identity(f"{LINK}?sig=2") == LINK
