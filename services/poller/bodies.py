"""From the bytes of an answer to its records: unpacked, in UTF-8, each cut out byte for byte.

What the bytes are decides, not what a label says of them: proxies unpack a body and leave
`content-encoding` as it was, frameworks put a byte order mark before it.  A record that no parser
takes is set aside alone; its neighbors go on as they came.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from schemas.message import without_lone_surrogates
from services.poller.source import Rejected, Response, Unreadable

BODY_BYTES_MAX = 16 * 1024 * 1024
LAYERS_MAX = 3  # of compression, one in the other
MEMBERS_MAX = 64  # gzip streams one after the other
GZIP, GZIP_WINDOW = b"\x1f\x8b", 31  # how one begins, and zlib's word for it
DEFLATE, DEFLATE_WINDOWS = frozenset({"deflate", "x-deflate", "zlib"}), (15, -15)
NOT_READ = frozenset({"br", "zstd", "compress", "x-compress", "lzma", "xz", "dcb", "dcz"})

# UTF-32 first: its mark begins with that of UTF-16.
MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
ONE_BYTE = re.compile(r'charset\s*=\s*"?(iso-8859-\d+|latin-?\d+|(?:windows-|cp)125\d)\b')
SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
NESTING_MAX = 100  # levels a copy keeps; the parser itself gives up near 1,000
ENDS_MORE_MAX = 64  # brackets looked at before one that may close the list
ENDS_BYTES_MAX = BODY_BYTES_MAX  # parsed to find where the list of a damaged page ends
RESUMES_BYTES_MAX = BODY_BYTES_MAX  # looked through for where damaged records end
FOLLOWERS_MAX = 1_000  # records looked at behind a damaged one

_BRACKETS_AND_STRINGS = re.compile(rb'[\[\]{}]|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")
_BLANK = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^,\[\]{}"]*', re.DOTALL)
_NEXT_OBJECT = re.compile(rb",[ \t\r\n]*(?=\{)")
_ID_VALUE = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]++|\\.)*+"|-?\d+(?![\d.eE]))', re.DOTALL)
SUCCESS = frozenset({"", "0", "00000", "200", "204", "ok", "success"})

_decode_any = msgspec.json.Decoder(Any).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode

T = TypeVar("T")


class TooLarge(Exception):
    """The body has more than BODY_BYTES_MAX bytes, unpacked."""


class Packed(Exception):
    """The body is packed in a way that was not asked for, or ends in the middle."""


async def read_body(chunks: AsyncIterable[bytes], encoding: str, content_type: str = "") -> bytes:
    """The body in UTF-8, never more than the cap in memory: a small gzip can hold gigabytes.

    Raises TooLarge, Packed, zlib.error.
    """
    pieces, room = [], BODY_BYTES_MAX
    async for chunk in chunks:
        room -= len(chunk)
        if room < 0:
            raise TooLarge
        pieces.append(chunk)
    return in_utf8(unpacked(b"".join(pieces), encoding), content_type)


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body without its compression, whatever `content-encoding` says.

    No document begins like a gzip.  Raises TooLarge, Packed, zlib.error.
    """
    labels = {label.strip() for label in encoding.lower().split(",")}
    for _ in range(LAYERS_MAX):
        if not body.startswith(GZIP):
            break
        body = _unfolded(body, GZIP_WINDOW)
    if not labels & (DEFLATE | NOT_READ) or _is_text(body):
        return body
    if not labels & DEFLATE:
        raise Packed(f"content-encoding {encoding!r} was not asked for")
    try:
        return _unfolded(body, DEFLATE_WINDOWS[0])
    except zlib.error:
        return _unfolded(body, DEFLATE_WINDOWS[1])


def _unfolded(body: bytes, window: int) -> bytes:
    """Stream after stream; what comes behind them is padding."""
    found, room = [], BODY_BYTES_MAX
    for _ in range(MEMBERS_MAX):
        stream = zlib.decompressobj(window)
        piece = stream.decompress(body, room + 1)
        room -= len(piece)
        if room < 0:
            raise TooLarge
        if not stream.eof:
            raise Packed("it ends in the middle")
        found.append(piece)
        body = stream.unused_data
        if window != GZIP_WINDOW or not body.startswith(GZIP):
            return b"".join(found)
    raise Packed(f"more than {MEMBERS_MAX} gzip streams follow each other")


def _is_text(body: bytes) -> bool:
    """Whether it can be read as it is."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.startswith(tuple(mark for mark, _ in MARKS))
    return True


def in_utf8(body: bytes, content_type: str) -> bytes:
    """The body in UTF-8 without a byte order mark.

    A one-byte charset that Content-Type names is believed where the bytes are not UTF-8: servers
    name one by default and send UTF-8 all the same.
    """
    for mark, charset in MARKS:
        if body.startswith(mark):
            bare = body[len(mark) :]
            return bare if charset == "utf-8" else _transcoded(bare, charset)
    if body[1:2] == b"\x00" or body[:1] == b"\x00":
        return _transcoded(body, "utf-16-be" if body[:1] == b"\x00" else "utf-16-le")
    if "charset" in content_type.lower() and not body.isascii():
        named = ONE_BYTE.search(content_type.lower())
        if named and not _is_text(body) and not SEQUENCE.search(body):
            return _transcoded(body, named[1])
    return body


def _transcoded(body: bytes, charset: str) -> bytes:
    try:
        return body.decode(charset).encode()
    except (UnicodeError, LookupError):
        return body  # as unreadable as it was


E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Pages(Generic[E]):
    """How the pages of one list are written.

    `name` is the field that holds the records, `of` what they are, for people.  `rows` are those of
    a decoded envelope, None where it says that there are none; `more` is whether it says that
    there are others.
    """

    of: str
    name: str
    decode: Callable[[bytes], E]
    rows: Callable[[E], Sequence[msgspec.Raw] | None]
    more: Callable[[E], bool]

    def read(self, response: Response) -> tuple[E, list[bytes]]:
        """The envelope and the bytes of each record.  Raises Unreadable.

        204 is a page without records, and so is null in their place where nothing else in the
        answer says that something is wrong or missing.
        """
        body = response.body
        if response.status == 204:
            body = b'{"%b":null}' % self.name.encode()
        try:
            envelope, records = self._opened(body)
        except NOT_JSON as error:
            raise Unreadable(f"not a page of {self.of}: {error}") from error
        if not records:
            self._believe(envelope, body)
        return envelope, records

    def _opened(self, body: bytes) -> tuple[E, list[bytes]]:
        try:
            envelope = self.decode(body)
            return envelope, [bytes(piece) for piece in self.rows(envelope) or ()]
        except msgspec.ValidationError:
            raise
        except NOT_JSON as error:
            refusal = error
        opening = re.search(rb'"%b"[ \t\r\n]*:[ \t\r\n]*(?=\[)' % self.name.encode(), body)
        start = opening.end() if opening else len(body)

        def without_records(end: int) -> E | None:
            try:
                return self.decode(body[: start + 1] + body[end:])
            except NOT_JSON:
                return None

        for end in _ends(body, start, lambda end: without_records(end) is not None):
            records, found = _records(body[start + 1 : end]), without_records(end)
            if records is not None and found is not None:
                return found, records
        raise refusal

    def _believe(self, envelope: E, body: bytes) -> None:
        """Raises Unreadable: what should be an empty page says that it is none."""
        rows = self.rows(envelope)
        if rows is None and self.more(envelope):
            raise Unreadable(f"no {self.of}, yet more of them are said to follow")
        try:
            said, _ = legible(_decode_fields, body)
        except NOT_JSON:
            return
        failed = said.get("error") or said.get("errors") or said.get("success", True) is False
        if failed or (rows is None and str(said.get("code", 0)).casefold() not in SUCCESS):
            raise Unreadable(f"no {self.of}, but an error")


def _ends(body: bytes, start: int, fits: Callable[[int], bool]) -> Iterator[int]:
    """Where the list that opens at `start` may be closed: without it, the rest is an envelope.

    First by its brackets; where a damaged text hides some of them, from the back, but the first of
    several: those behind it close lists of the envelope.
    """
    closed = _end_of_value(body, start)
    if closed is not None and fits(closed - 1):
        yield closed - 1
    found: list[int] = []
    end, room, more = len(body), ENDS_BYTES_MAX, ENDS_MORE_MAX
    while room > 0 and more > 0 and (end := body.rfind(b"]", start, end)) >= 0:
        room -= start + len(body) - end
        more -= bool(found)
        if fits(end):
            found.append(end)
    yield from reversed(found)


def _records(inside: bytes) -> list[bytes] | None:
    """What stands between the brackets of a list, record by record, damaged ones too.

    None where it cannot be told where one of them ends.
    """
    found: list[bytes] = []
    start, room = _skipped(inside, 0), RESUMES_BYTES_MAX
    while start < len(inside):
        end = _end_of_value(inside, start)
        if end is None or not (_goes_on(inside, end) and _followed(inside, end)):
            end = _rest(inside, start)
        if end is None or not (_is_json(inside[start:end]) or _closed(inside, start) == end):
            resumed, room = _resumed(inside, start, room)
            end = resumed or end
        if end is None:
            return None
        if record := inside[start:end].rstrip():
            found.append(record)
        start = _skipped(inside, _skipped(inside, end) + 1)
    return found


def _resumed(inside: bytes, start: int, room: int) -> tuple[int | None, int]:
    """Where the damaged record at `start` ends because others follow, and how many bytes may still
    be looked through for that.

    A text without its end hides brackets, so they are counted whether in texts or not.
    """
    counted, depth, torn = start, 0, False
    for gap in _NEXT_OBJECT.finditer(inside, start):
        room -= gap.end() - counted
        if not torn:
            depth = _open_brackets(inside[counted : gap.start()], depth)
            torn = depth < 0  # it closes more than it opens
        counted = gap.start()
        if room < 0:
            break
        reached, leads_on = _leads_on(inside, gap.end(), good=torn or depth > 0)
        room -= reached - gap.end()
        if leads_on:
            return gap.start(), room
    return None, room


def _leads_on(inside: bytes, start: int, *, good: bool) -> tuple[int, bool]:
    """How far was looked, and whether records follow from `start`: a list within a record would
    end first.

    `good`: the first must be one that can be read.
    """
    for count in range(FOLLOWERS_MAX if good else 1):
        end = _end_of_value(inside, start)
        if end is None:
            return start, not (good and count == 0)
        if not _goes_on(inside, end) or (good and count == 0 and not _is_json(inside[start:end])):
            return end, False
        start = _skipped(inside, _skipped(inside, end) + 1)
        if start >= len(inside):
            break
    return start, True


def _closed(inside: bytes, start: int) -> int | None:
    """Where the brackets from `start` on are closed, when those in texts count as well."""
    depth = 0
    for bracket in _BRACKET.finditer(inside, start):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth <= 0:
            return bracket.end()
    return None


def _rest(inside: bytes, start: int) -> int | None:
    """The end of the list, where the damaged record at `start` is whole and the last one."""
    rest = inside[start:].rstrip()
    return len(inside) if rest.endswith(b"}") and not _open_brackets(rest, 0) else None


def _open_brackets(damaged: bytes, depth: int) -> int:
    """How many are open behind these bytes, with `depth` before; -1: one is closed too many."""
    for bracket in _BRACKET.finditer(damaged):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth < 0:
            return depth
    return depth


def _end_of_value(inside: bytes, start: int) -> int | None:
    """Where the brackets that open at `start` are closed, or a value without any ends."""
    if inside[start : start + 1] not in (b"{", b"["):
        scalar = _SCALAR.match(inside, start)
        return scalar.end() if scalar else None
    depth = 0
    for token in _BRACKETS_AND_STRINGS.finditer(inside, start):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                return token.end()
    return None


def _goes_on(inside: bytes, end: int) -> bool:
    """Whether a comma or the end of the list follows."""
    after = _skipped(inside, end)
    return inside[after : after + 1] in (b",", b"")


def _followed(inside: bytes, end: int) -> bool:
    """Whether a record may follow: a bracket too many can end one in its middle, and what is left
    of it must not pass for a record that has changed.
    """
    start = _skipped(inside, _skipped(inside, end) + 1)
    if start >= len(inside):
        return True
    closed = _end_of_value(inside, start)
    if inside[start : start + 1] != b"{":
        return closed is not None and _goes_on(inside, closed)
    if closed is None or not _is_json(inside[start:closed]):
        return True
    behind = _skipped(inside, closed)
    return inside[behind : behind + 1] not in (b"]", b"}")  # else it stands within another


def _skipped(inside: bytes, start: int) -> int:
    blank = _BLANK.match(inside, start)
    return blank.end() if blank else start


def _is_json(body: bytes) -> bool:
    try:
        legible(_decode_raw, body)
    except NOT_JSON:
        return False
    return True


def single(response: Response, of: str) -> bytes:
    """The bytes of the one record that an answer is, damaged or not.  Raises Unreadable.

    Only a damaged one whose brackets are all closed is whole: half a record is asked for again.
    """
    body = response.body.strip()
    try:
        legible(_decode_raw, body)
    except NOT_JSON as error:
        if not body.startswith(b"{") or _end_of_value(body, 0) != len(body):
            raise Unreadable(f"not {of}: {error}") from error
    return body


class Identified(Protocol):
    """A record with an id."""

    @property
    def id(self) -> str | int:
        """As it came."""


R = TypeVar("R", bound=Identified)


def legible(decode: Callable[[bytes], T], body: bytes) -> tuple[T, bytes]:
    """A record decoded, and the bytes it was read from: itself, or a copy of the same length in
    which halves of surrogate pairs and absurd nesting are made harmless.  Raises NOT_JSON.
    """
    if not body.isascii():
        body.decode()  # the parser does not look at what it passes over
    try:
        return decode(body), body
    except NOT_JSON:
        copy = without_lone_surrogates(body)
    try:
        return decode(copy), copy
    except RecursionError:
        copy = flattened(copy)
    return decode(copy), copy


def slices(pieces: Iterable[msgspec.Raw], copy: bytes, body: bytes) -> Iterator[bytes]:
    """What stands in `body` where `pieces` stand, in this order, in `copy`."""
    end = 0
    for piece in pieces:
        found = bytes(piece)
        if copy is body:
            yield found
            continue
        start = copy.index(found, end)
        end = start + len(found)
        yield body[start:end]


def identified(decode: Callable[[bytes], R], body: bytes) -> tuple[R | Rejected, str]:
    """A record decoded, and its `id`; an id that two records may share is as good as none."""
    try:
        record, copy = legible(decode, body)
    except NOT_JSON as error:
        return unreadable(body, error, "id"), ""
    upstream_id = str(record.id)
    if not upstream_id or (copy is not body and "\ufffd" in upstream_id):
        return Rejected("", "$.id", "id is empty or not valid Unicode", body), ""
    return record, upstream_id


def unreadable(body: bytes, error: Exception, id_field: str) -> Rejected:
    """A record that is none, under its id where that at least can be read."""
    reason, _, path = str(error).partition(" - at ")
    return Rejected(_id_at_any_price(body, id_field), path.strip("`") or "$", reason, body)


def flattened(body: bytes) -> bytes:
    """Every array and object below NESTING_MAX levels replaced by a zero and blanks."""
    copy = bytearray(body)
    depth = start = 0
    for token in _BRACKETS_AND_STRINGS.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            if depth == NESTING_MAX + 1:
                start = token.start()
        elif mark in (b"]", b"}"):
            if depth == NESTING_MAX + 1:
                copy[start : token.end()] = b"0".ljust(token.end() - start)
            depth -= 1
    return bytes(copy)


def _id_at_any_price(body: bytes, id_field: str) -> str:
    try:
        value, copy = legible(_decode_any, body)
    except NOT_JSON:
        return _id_of_damaged(body, id_field)
    found = value.get(id_field) if isinstance(value, dict) else None
    if isinstance(found, bool) or not isinstance(found, int | str):
        return ""
    return "" if copy is not body and "\ufffd" in str(found) else str(found)


def _id_of_damaged(body: bytes, id_field: str) -> str:
    """A field of the record itself that can be read where the whole cannot; "": none."""
    depth, quoted = 0, b'"%b"' % id_field.encode()
    for token in _BRACKETS_AND_STRINGS.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
        elif depth == 1 and mark == quoted and (value := _ID_VALUE.match(body, token.end())):
            alone = b"{%b:%b}" % (quoted, value[1])
            return _id_at_any_price(alone, id_field) if _is_json(alone) else ""
    return ""
