"""Tracking numbers and their URLs as people, spreadsheets and serializers put them into a field.

Shared by every mapper, so that one spelling is read alike in every system.
`tests/unit/normalizer/test_tracking_numbers.py` is the table of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal

from services.normalizer.model import Tracking

# What stands for no number; compared without case, spaces and punctuation.
PLACEHOLDERS = frozenset(
    {"", "na", "none", "null", "nil", "nan", "nat", "tbd", "tba", "tbc", "unknown", "undefined"}
    | {"notracking", "notrackingnumber", "untracked", "nottracked", "notavailable", "notapplicable"}
    | {"notprovided", "notyet", "notyetavailable", "pending", "awaiting", "awaitingtracking"}
    | {"missing", "empty", "blank", "tracking", "trackingnumber", "novalue", "false", "true"}
    | {"xx", "xxx", "xxxx", "noaplica", "sinnumero", "aucun", "keine", "geen", "无", "暂无"}
)
NUMBER_LENGTH_MAX = 200  # no carrier has longer ones: what is longer is a text about a package

_SEPARATORS = re.compile(r"[,;|\r\n\v\f\x85\u2028\u2029\uff0c\uff1b\u3001]+")
_URL_SEPARATORS = re.compile(r"[\s,;|]+(?=(?:https?:)?//)", re.IGNORECASE)
_URL = re.compile(r"(?:https?:)?//\S+", re.IGNORECASE)
_QUOTES = "\"'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2032\u2033"
# Format characters (category Cf) and controls come with copy and paste; tabs are spaces here.
_UNSEEN = {"Cf", "Cc", "Co", "Cn"}
_NOT_IN_NUMBERS = re.compile(r"[\s.\-\u2010-\u2015\u2212]+")
_NOT_IN_WORDS = re.compile(r"[\W_]+")
_EXPONENT = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d{1,3}", re.ASCII)  # as a spreadsheet shows it


def read_trackings(numbers: object, urls: object = None) -> tuple[Tracking, ...]:
    """Return the trackings in one field, each number once; () where it holds none.

    `numbers` is null, a text, a JSON number or an array of these; comma, semicolon, line break and
    `|` separate several numbers, a space, hyphen or slash never does.  URLs go with the numbers by
    place when there are as many of them; one URL for several numbers goes with each.  A URL without
    a number is a tracking of its own.
    Raises ValueError for an object, an empty array, and a number of which a spreadsheet has cut
    digits off.
    """
    found: list[str] = []
    links = [link for one in listed(urls) for link in links_of(one)]
    for one in listed(numbers):
        text = clean(one)
        if _URL.match(text):
            links += links_of(text)
        elif _EXPONENT.fullmatch(text):
            raise ValueError(f"{text!r} has lost digits in a spreadsheet; expected all of them")
        else:
            found += [number for part in _SEPARATORS.split(text) if (number := _number(part))]
    if not found:
        return tuple([Tracking(url=link) for link in dict.fromkeys(links)])
    paired: Sequence[str | None] = [None] * len(found)
    if len(links) == len(found):
        paired = links
    elif len(links) == 1:
        paired = links * len(found)
    trackings: dict[str, Tracking] = {}
    for number, link in zip(found, paired, strict=True):
        normalized = normalized_number(number)
        trackings.setdefault(
            normalized, Tracking(number=number, number_normalized=normalized, url=link)
        )
    return tuple(trackings.values())


def normalized_number(number: str) -> str:
    """Return the number for comparing only: NFKC, upper case, no spaces, hyphens, dots.

    Leading zeros stay.
    """
    if number.isascii() and number.isalnum():
        return number.upper()
    return _NOT_IN_NUMBERS.sub("", clean(unicodedata.normalize("NFKC", number))).upper()


def clean(text: str) -> str:
    """Return the text without what copy, paste and spreadsheets leave around and in it.

    Those are characters that nobody sees, quotes around it, and a spreadsheet's `="..."`.
    """
    if text.isascii() and text.isalnum():
        return text
    text = "".join(
        [
            " " if one == "\t" else one
            for one in text
            if one in "\t\n\r\v\f\x85" or unicodedata.category(one) not in _UNSEEN
        ]
    )
    text = text.strip()
    if text.startswith(('="', "='")):
        text = text[1:]
    return text.strip(_QUOTES + " \t\n\r\v\f\x85\u00a0").strip()


def is_placeholder(text: str) -> bool:
    """Return whether a text stands for no number: `N/A`, `-`, `none`, `000000`."""
    word = _NOT_IN_WORDS.sub("", text).casefold()
    return word in PLACEHOLDERS or not word.strip("0")


def url_identity(url: str) -> str:
    """Return what a URL is known by: itself without its query and fragment, which may be signed."""
    return re.split(r"[?#]", url, maxsplit=1)[0]


def listed(value: object) -> list[str]:
    """Return the texts of a field."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        number = Decimal(str(value))
        return [f"{number:f}".removesuffix(".0") if number.is_finite() else ""]
    if value and isinstance(value, list | tuple):
        return [text for one in value for text in listed(one)]
    raise ValueError(f"{value!r} is not a tracking number; expected a text")


def _number(part: str) -> str | None:
    number = clean(part)
    if is_placeholder(number):
        return None
    if len(number) > NUMBER_LENGTH_MAX:
        raise ValueError(
            f"a tracking number of {len(number)} characters; expected at most {NUMBER_LENGTH_MAX}"
        )
    return number


def links_of(text: str) -> list[str]:
    """Return the URLs of a text, `https:` before one that begins with `//`."""
    parts = [clean(one) for one in _URL_SEPARATORS.split(clean(text))]
    links = [one for one in parts if one and not is_placeholder(one)]
    return [f"https:{one}" if one.startswith("//") else one for one in links]
