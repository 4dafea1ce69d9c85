"""From bytes to records: whatever a proxy, a framework or one bad record does to a page."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random

import pytest

from schemas.cursor import Cursor
from services.poller.bodies import NESTING_MAX, Packed, flattened, read_body
from services.poller.source import Page, Response, Unreadable
from services.poller.sources import sources
from testbed.simulators import simulators
from tests.systems.bench import account
from tests.unit.poller.test_zentail import NOW, cursor, read, stream

GOOD = b'{"orderNumber":2,"lastUpdatedTs":"2026-02-02T00:00:00Z"}'
HALF = b"\\ud83d"
DEEP = b"[" * 5000 + b'"]"' + b"]" * 5000


def odd(value: bytes, number: bytes = b"1") -> bytes:
    """An order with a field of this value, none of ours."""
    return b'{"orderNumber":%b, "lastUpdatedTs":"2026-02-01T00:00:00Z","x":%b}' % (number, value)


def page_of(*records: bytes) -> Page:
    return read(b'{"results":[' + b", ".join(records) + b'],"pagination":{"hasNext":false}}')


ODD = [
    pytest.param(b'"Ana ' + HALF + b'"', id="high half at the end"),
    pytest.param(b'"Ana ' + HALF + b'!"', id="high half inside"),
    pytest.param(b'"\\uDE00 Ana"', id="low half"),
    pytest.param(b'"' + HALF + HALF + b'\\ude00"', id="a half before a pair"),
    pytest.param(b'"\\\\' + HALF + b'\\""', id="a half after an escaped backslash"),
    pytest.param(DEEP, id="nested 5000 deep"),
    pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, id="objects 5000 deep"),
    pytest.param(b'["' + HALF + b'",' + DEEP + b"]", id="both, the half first"),
    pytest.param(b"[" + DEEP + b',"' + HALF + b'"]', id="both, the nesting first"),
]


@pytest.mark.parametrize("value", ODD)
def test_an_odd_field_stops_no_page_and_changes_no_byte(value: bytes) -> None:
    """The order goes on as it stood, between its neighbors, escaped backslashes and all."""
    also = b'{"orderNumber":3,"lastUpdatedTs":"2026-02-03T00:00:00Z","x":"\\\\ud83d \\ufffd"}'

    page = page_of(GOOD, odd(value), also)

    assert [found.body for found in page.found] == [GOOD, odd(value), also]
    assert [found.upstream_id for found in page.found] == ["2", "1", "3"]
    assert page.rejected == ()


@pytest.mark.parametrize("value", ODD)
def test_an_order_asked_for_by_its_id_may_have_an_odd_field(value: bytes) -> None:
    """Also with white space around it; its status is read, so that it is not asked for forever."""
    body = odd(value)[:-1] + b',"status":"SHIPPED"}'
    one = stream("orders", mode="per_order")
    sweep = one.begin(cursor("orders"), NOW, ["1"])

    (found,) = one.read(sweep, Response(200, {}, b"\n " + body + b"\n", NOW)).found

    assert found.body == body
    assert found.due is None


def test_a_number_that_is_no_unicode_is_nobodys_id() -> None:
    """Two that differ only in what cannot be read must not become one fulfillment."""
    bad = odd(b"0", b'"A' + HALF + b'"')

    page = page_of(bad, GOOD)

    (rejected,) = page.rejected
    assert (rejected.upstream_id, rejected.path, rejected.body) == ("", "$.orderNumber", bad)
    assert [found.upstream_id for found in page.found] == ["2"]


def test_an_instant_outside_the_calendar_is_the_fault_of_one_record() -> None:
    """In UTC it would lie in the year 10000."""
    bad = b'{"orderNumber":1,"lastUpdatedTs":"9999-12-31T23:59:59-05:00"}'

    page = page_of(bad, GOOD)

    (rejected,) = page.rejected
    assert (rejected.upstream_id, rejected.path) == ("1", "$.lastUpdatedTs")
    assert page.found[0].updated_at == datetime(2026, 2, 2, tzinfo=UTC)


@pytest.mark.parametrize("body", [b"[" * 5000, b"{" * 5000 + b'"', DEEP, b'{"results":' + DEEP])
def test_a_page_that_is_no_page_at_all_stays_unreadable(body: bytes) -> None:
    """Nothing in it can be told apart."""
    with pytest.raises(Unreadable):
        read(body)


def test_what_is_nested_less_deep_is_left_alone() -> None:
    """Brackets in texts count for nothing; what lies deeper becomes one value, as long as it."""
    plain = b"[" * NESTING_MAX + b'"[[\\"{"' + b"]" * NESTING_MAX
    deeper = b"[" * NESTING_MAX + b'[1,"]]"]' + b"]" * NESTING_MAX

    assert flattened(plain) == plain
    assert flattened(deeper) == b"[" * NESTING_MAX + b"0       " + b"]" * NESTING_MAX


DAMAGED = [
    pytest.param(b"NaN", id="NaN"),
    pytest.param(b"[1, -Infinity]", id="infinity"),
    pytest.param(b"undefined", id="undefined"),
    pytest.param(b"True", id="a Python literal"),
    pytest.param(b"007", id="leading zeros"),
    pytest.param(b"", id="no value"),
    pytest.param(b'"a\nb"', id="a bare line break"),
    pytest.param(b'"a\x00b"', id="a bare zero byte"),
    pytest.param(b'"a\x1bb"', id="a bare control character"),
    pytest.param(b'"M\xfcller"', id="Latin-1"),
    pytest.param(b'"\xed\xa0\xbd"', id="half a pair as bytes"),
    pytest.param(b'"\xe2\x82"', id="a text cut in the middle of a character"),
    pytest.param(b'"it\\\'s"', id="an escape that JSON has not"),
    pytest.param(b'"\\u12"', id="a cut escape"),
    pytest.param(b'{"a":1,}', id="a comma too many"),
    pytest.param(b'[{"t":"5" tape"},{"t":"x"},{"t":"y"}]', id="a quote in a text"),
    pytest.param(b'"open, {1}", "lines":[{"t":"x"},{"t":"y"}], "z":"5" tape"', id="two quotes"),
    pytest.param(b'[{"t":"x"}, {"t":"y"}', id="a list that is not closed"),
]


@pytest.mark.parametrize("value", DAMAGED)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_record_is_set_aside_alone(value: bytes, place: int) -> None:
    """Its neighbors go on byte for byte, it itself is kept as it came, under its own number."""
    also = b'{ "orderNumber":3,"lastUpdatedTs":"2026-02-03T00:00:00Z","x":[{"y":1.10}] }'
    bad, records = odd(value), [GOOD, also]
    records.insert(place, bad)
    if place == 2 and value.count(b"[") > value.count(b"]"):
        with pytest.raises(Unreadable):  # whether this or the whole page was cut cannot be told
            page_of(*records)
        return

    page = page_of(*records)

    assert [GOOD, also] == [found.body for found in page.found]
    (rejected,) = page.rejected
    assert ("1", "$", bad) == (rejected.upstream_id, rejected.path, rejected.body)
    assert rejected.reason


def test_every_record_of_a_page_may_be_damaged() -> None:
    """Each is set aside by itself."""
    bad = [odd(b"NaN", b"%d" % number) for number in range(500)]
    torn = [odd(b'"5" tape"', b"%d" % number) for number in range(500)]

    page = page_of(*bad, *torn, GOOD, torn[0], GOOD)

    assert [*bad, *torn, torn[0]] == [one.body for one in page.rejected]
    assert [GOOD, GOOD] == [found.body for found in page.found]


RECORD = (
    b'{"orderNumber":%d,"lastUpdatedTs":"2026-02-0%dT00:00:00Z","name":"Ana, {x} [y]","packages":'
    b'[{"tracking":"1Z","products":[{"SKU":"A","quantity":1},{"SKU":"B","quantity":2.5}]},'
    b'{"tracking":null,"products":[]}],"n":1.10}'
)


def mutated(record: bytes, chance: Random) -> bytes:
    """With one to three bytes replaced, added or left out between its outer brackets."""
    body = bytearray(record)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        place, wrong = chance.randrange(1, len(body) - 1), chance.choice(b'"\\{}[],:\x00\xff\n0aN ')
        match chance.randrange(3):
            case 0:
                body[place] = wrong
            case 1:
                body.insert(place, wrong)
            case _:
                del body[place]
    return bytes(body)


def test_whatever_one_record_is_its_neighbors_go_on_and_no_record_is_invented() -> None:
    """A part of a record least of all: it would look like one that has lost its packages."""
    chance, outcomes = Random(5), Counter[str]()
    for _ in range(3000):
        records = [RECORD % (number, number) for number in (1, 2, 3)]
        place = chance.randrange(3)
        records[place] = mutated(records[place], chance)
        neighbors = [*records[:place], *records[place + 1 :]]
        try:
            page = page_of(*records)
        except Unreadable:
            outcomes["unreadable"] += 1
            continue
        found = [one.body for one in page.found]
        assert [one for one in found if one != records[place]] == neighbors
        outcomes["set aside" if page.rejected else "read"] += 1
    assert outcomes["unreadable"] < 200 < outcomes["set aside"]


def test_a_comma_too_many_between_records_is_no_record() -> None:
    """Nothing stands there, so nothing is set aside."""
    page = read(b'{"results":[' + GOOD + b',],"pagination":{"hasNext":false}}')
    assert ([GOOD], ()) == ([found.body for found in page.found], page.rejected)


WHOLE = (
    b'{"meta":[1],"results":[%b, %b],"links":[{"a":[2]},{"a":3}],"pagination":{"hasNext":false}}'
)


@pytest.mark.parametrize("value", [b'[{"y":[1]}]', b'[{"y":[NaN]}]', b'"5" tape"'])
def test_a_page_that_ends_in_the_middle_is_never_taken_for_a_whole_one(value: bytes) -> None:
    """Wherever it is cut, also right behind a bracket, and whatever is damaged in it."""
    for records in ((GOOD, odd(value)), (odd(value), GOOD)):
        whole = WHOLE % records
        page = read(whole)
        assert {*records} == {x.body for x in page.found} | {x.body for x in page.rejected}
        for end in range(len(whole)):
            with pytest.raises(Unreadable):
                read(whole[:end])


@pytest.mark.parametrize(
    "body",
    [
        b'{"results":[{}],"pagination":{"hasNext":NaN}}',
        b'{"results":[{}],"pagination":{"hasNext":true,"nextToken":"a\x01"}}',
        b'{"count":NaN,"results":[{}],"pagination":{"hasNext":false}}',
    ],
)
def test_damage_outside_of_the_records_makes_a_page_unreadable(body: bytes) -> None:
    """What says whether and where the list goes on is never guessed."""
    with pytest.raises(Unreadable):
        read(body)


@pytest.mark.parametrize("value", [b"NaN", b'"a\nb"', b'"M\xfcller"'])
def test_a_damaged_order_asked_for_by_its_id_is_set_aside(value: bytes) -> None:
    """Under the id that was asked for; half an order is asked for again."""
    one = stream("orders", mode="per_order")
    sweep = one.begin(cursor("orders"), NOW, ["1"])

    (rejected,) = one.read(sweep, Response(200, {}, odd(value), NOW)).rejected

    assert ("1", "$", odd(value)) == (rejected.upstream_id, rejected.path, rejected.body)
    for end in range(len(odd(value))):
        with pytest.raises(Unreadable):
            one.read(sweep, Response(200, {}, odd(value)[:end], NOW))


TEXT = '{"name":"Zo\u00eb \u6797"}'
PLAIN = TEXT.encode()
RAW_DEFLATE = zlib.compressobj(wbits=-15)
DEFLATED = RAW_DEFLATE.compress(PLAIN) + RAW_DEFLATE.flush()


def _gzip(body: bytes) -> bytes:
    """Return the body packed, the same bytes at any time of day: they name the tests."""
    return gzip.compress(body, mtime=0)


PACKED = _gzip(PLAIN)
LATIN = '{"name":"Zo\u00eb"}'

SENT = [
    (PLAIN, "", "", PLAIN),
    (PLAIN, "identity", "", PLAIN),
    (PLAIN, "none", "", PLAIN),
    (PLAIN, "utf-8", "", PLAIN),
    (PLAIN, "gzip", "", PLAIN),  # a proxy has unpacked it
    (PLAIN, "br", "", PLAIN),
    (PLAIN, "deflate", "", PLAIN),
    (PLAIN, "aws-chunked", "", PLAIN),
    (PACKED, "gzip", "", PLAIN),
    (PACKED, "GZIP", "", PLAIN),
    (PACKED, "x-gzip", "", PLAIN),
    (PACKED, "", "", PLAIN),  # a proxy has lost the label
    (PACKED, "utf-8", "", PLAIN),
    (PACKED, "gzip, identity", "", PLAIN),
    (_gzip(PACKED), "gzip, gzip", "", PLAIN),
    (_gzip(PACKED), "gzip", "", PLAIN),
    (_gzip(PLAIN[:5]) + _gzip(PLAIN[5:]), "gzip", "", PLAIN),
    (PACKED + b"\0" * 9, "gzip", "", PLAIN),
    (zlib.compress(PLAIN), "deflate", "", PLAIN),
    (DEFLATED, "deflate", "", PLAIN),
    (b"", "gzip", "", b""),
    (b"", "br", "", b""),
    (b"\xef\xbb\xbf" + PLAIN, "", "", PLAIN),
    (_gzip(b"\xef\xbb\xbf" + PLAIN), "gzip", "", PLAIN),
    (b"\xef\xbb\xbf", "", "", b""),
    (TEXT.encode("utf-16"), "", "", PLAIN),
    (TEXT.encode("utf-16-le"), "", "", PLAIN),
    (TEXT.encode("utf-16-be"), "", "", PLAIN),
    (TEXT.encode("utf-32"), "", "", PLAIN),
    (LATIN.encode("latin-1"), "", "application/json; charset=ISO-8859-1", LATIN.encode()),
    (LATIN.encode("cp1252"), "", 'application/json;charset="Windows-1252"', LATIN.encode()),
    (PLAIN, "", "application/json; charset=ISO-8859-1", PLAIN),  # named by default
    (PLAIN + b"\xff", "", "application/json; charset=ISO-8859-1", PLAIN + b"\xff"),
    (LATIN.encode("latin-1"), "", "application/json; charset=x-nothing", LATIN.encode("latin-1")),
]


async def chunked(body: bytes) -> AsyncIterator[bytes]:
    """A byte at a time, and an empty piece."""
    yield b""
    for index in range(len(body)):
        yield body[index : index + 1]


@pytest.mark.parametrize(("sent", "encoding", "content_type", "expected"), SENT)
async def test_a_body_is_read_by_what_its_bytes_are(
    sent: bytes, encoding: str, content_type: str, expected: bytes
) -> None:
    """Packed, marked or labeled in any way that leaves no doubt."""
    assert expected == await read_body(chunked(sent), encoding, content_type)


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [
        (b"\x1b\x0f\x00\xf8\xa5[\xca\xe6", "br"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "zstd"),
        (PACKED[:-9], "gzip"),
        (PACKED[:-9], ""),
        (b"\xff\xf0", "deflate"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_refused(sent: bytes, encoding: str) -> None:
    """An encoding that nobody asked for, or a body that ends in the middle."""
    with pytest.raises((Packed, zlib.error)):
        await read_body(chunked(sent), encoding)


async def test_a_body_of_very_many_gzip_streams_is_refused() -> None:
    """Each costs a copy of what is left."""
    with pytest.raises(Packed):
        await read_body(chunked(_gzip(b"") * 500), "gzip")


def answered(source: str, status: int, body: bytes, count: int = 100) -> Page:
    """What the first list of a source makes of an answer to a request for so many records."""
    settings = account(source, "http://127.0.0.1:1", **simulators()[source].ACCOUNT)
    found = next(one for one in sources()[source].streams(settings) if not one.facts.ids_max)
    at = datetime(2026, 2, 1, tzinfo=UTC)
    start = Cursor(source=source, account="acme", stream=found.facts.name, connected_at=at)
    sweep = found.begin(start, at, ())
    return found.read(sweep, Response(status, {}, body, NOW, limit=count))


EMPTY = [
    *((source, 204, "") for source in sorted(sources())),
    ("zentail", 200, '{"results":null,"pagination":{"hasNext":false}}'),
    ("zentail", 200, '{"results":null,"pagination":null}'),
    ("zentail", 200, '{"results":null}'),
    ("zentail", 200, '{"results":[]}'),
    ("zentail", 200, '{"results":[],"pagination":{}}'),
    ("zentail", 200, '{"results":[],"pagination":{"hasNext":null,"nextToken":""}}'),
    ("digital_river", 200, '{"data":null,"hasMore":false}'),
    ("digital_river", 200, '{"data":null}'),
    ("digital_river", 200, '{"data":[]}'),
    ("panora", 200, '{"data":null,"next_cursor":null}'),
    ("panora", 200, '{"data":null}'),
    ("panora", 200, '{"data":[],"next_cursor":""}'),
    ("tradecloud", 200, '{"data":null,"total":0}'),
    ("tradecloud", 200, '{"data":null}'),
    ("tradecloud", 200, '{"data":[]}'),
    ("shoplazza", 200, '{"orders":null}'),
    ("shoplazza", 200, '{"orders":null,"count":0}'),
    ("shoplazza", 200, '{"code":"Success","message":"","data":{"orders":null}}'),
    ("shoplazza", 200, '{"code":"Success","message":"","data":null}'),
]


@pytest.mark.parametrize(("source", "status", "body"), EMPTY)
def test_nothing_may_be_told_in_many_ways(source: str, status: int, body: str) -> None:
    """Null, 204, or no word of what follows: an empty page, the last one."""
    page = answered(source, status, body.encode())
    assert ((), (), (), None) == (page.found, page.rejected, page.parents, page.sweep)


DOUBTFUL = [
    *((source, 200, "") for source in sorted(sources())),
    *((source, 200, "{}") for source in sorted(sources())),
    *((source, 200, "null") for source in sorted(sources())),
    *((source, 200, "<html></html>") for source in sorted(sources())),
    *((source, 200, '{"error":"internal"}') for source in sorted(sources())),
    ("zentail", 200, '{"results":null,"pagination":{"hasNext":true}}'),
    ("zentail", 200, '{"results":null,"pagination":{"nextToken":"abc"}}'),
    ("zentail", 200, '{"results":null,"errors":[{"message":"timeout"}]}'),
    ("zentail", 200, '{"results":[],"errors":[{"message":"timeout"}]}'),
    ("digital_river", 200, '{"data":null,"hasMore":true}'),
    ("digital_river", 200, '{"data":null,"success":false}'),
    ("panora", 200, '{"data":null,"next_cursor":"abc"}'),
    ("panora", 200, '{"data":null,"error":"x"}'),
    ("tradecloud", 200, '{"data":null,"total":7}'),
    ("shoplazza", 200, '{"orders":null,"count":7}'),
    ("shoplazza", 200, '{"code":"InternalError","message":"x","data":null}'),
    ("shoplazza", 200, '{"code":500,"data":null}'),
]


@pytest.mark.parametrize(("source", "status", "body"), DOUBTFUL)
def test_an_empty_page_is_believed_only_where_the_rest_of_the_answer_agrees(
    source: str, status: int, body: str
) -> None:
    """The cursor must not move over it."""
    with pytest.raises(Unreadable):
        answered(source, status, body.encode())


def test_a_full_page_without_a_word_of_what_follows_is_not_the_last() -> None:
    """Of the sources that say it by a field; one shorter than was asked for is the last."""
    fulfillment = {"id": "x", "createdTime": "2026-02-01T00:00:00Z"}
    order = {"orderNumber": 1, "lastUpdatedTs": "2026-01-31T23:59:30Z"}
    pages = {"digital_river": {"data": [fulfillment]}, "zentail": {"results": [order]}}
    for source, page in pages.items():
        body = json.dumps(page).encode()
        assert answered(source, 200, body, count=1).sweep is not None
        assert answered(source, 200, body, count=2).sweep is None


def test_a_full_page_of_panora_without_a_cursor_goes_on_behind_its_last_record() -> None:
    """Its rows are more than the records asked for, by what pages overlap; ten may be cut short."""
    rows = [
        {"id": f"6f1c1a0e-0000-4000-8000-{number:012}", "created_at": f"2026-02-01T00:00:{number}Z"}
        for number in range(10, 21)
    ]
    for count, ended in ((11, False), (10, False), (9, True)):
        body = json.dumps({"data": rows[:count]}).encode()
        assert (answered("panora", 200, body, count=1).sweep is None) == ended
