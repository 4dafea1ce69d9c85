"""Which package of a snapshot is which stored one, and the id of one never seen before.

Pure.  Ids are sticky: minted once from the best evidence at first sight, then carried along by
pairing, so that a corrected tracking number stays a correction (reference C2).  The rules go from
what cannot be chance to what is merely likely; live packages come before removed ones, and a
removed one comes back only on evidence of its own, never because it is the last one left.

An id of the source's own that two packages of one side carry (pallets in one container) tells
neither from the other and is no id.  Ids are compared within their kind only.  Ids that have always
been places in the list yield where number and contents both name another package (decision 0014).
Work is bounded: for n packages about n log n comparisons, whatever they have in common.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence, Set
from decimal import Decimal
from itertools import permutations

import msgspec

from schemas.fulfillment import LIVE, Identity
from schemas.keys import minted
from schemas.message import EXACT
from services.normalizer.evidence import (
    Evidence,
    contents_of,
    kinds_of,
    numbers_of,
    overlap,
    own_ids,
    shared_ids,
    unit_id,
)
from services.normalizer.mapper import Seen
from services.normalizer.model import LineItem, Package, UpstreamId

_ENCODER = msgspec.json.Encoder()
OVERLAP_MIN = 0.5
PERMUTED_MAX = 6  # packages; above, the cheapest pairs are taken one by one
COMPARED_MAX = 2_500  # pairs; above, a package is compared with its neighbors only
NEIGHBORS = 8  # on each side, in the order of their contents


def distinct(
    listed: tuple[Seen, ...], ordered: Sequence[LineItem], stored: Sequence[Package]
) -> tuple[Seen, ...]:
    """Return the packages of one list, each once (decision 0014).

    One SSCC is one package, contents joined.  Packages equal in all are one package under one id of
    their own; without an id only when they carry one number and are more than the record says was
    `ordered`, and never fewer than are `stored`.
    """
    if len(listed) < 2:
        return listed
    if len({package.upstream_ids[:1] or package.trackings for package in listed}) == len(listed):
        return listed
    packages = _with_one_of_each_id(_joined(listed))
    equals: dict[Hashable, list[Seen]] = defaultdict(list)
    for package in packages:
        if package.trackings and package.line_items and not own_ids(package):
            equals[_shown(package)].append(package)
    equals = {shown: group for shown, group in equals.items() if len(group) > 1}
    if not equals:
        return tuple(packages)
    known = Counter(_inside(one) for one in stored if one.status in LIVE)
    counted = _Counted(ordered, packages)
    extra = {
        id(one)
        for group in equals.values()
        for one in group[max(1, known[_inside(group[0])], counted.fitting(group)) :]
    }
    return tuple([one for one in packages if id(one) not in extra])


def _joined(listed: Sequence[Seen]) -> list[Seen]:
    """Return the packages, those of one SSCC as one that stands where the first of them stood."""
    units: dict[UpstreamId | int, list[Seen]] = defaultdict(list)
    for place, package in enumerate(listed):
        units[unit_id(package) or place].append(package)
    return [parts[0] if len(parts) == 1 else _union(parts) for parts in units.values()]


def _union(parts: Sequence[Seen]) -> Seen:
    """Return one package with the contents of its parts; a part that is told twice counts once.

    It has left when any of them has.
    """
    parts = _with_one_of_each_id(parts)
    first = next((part for part in parts if part.left), parts[0])
    items: list[LineItem] | None = []
    for part in parts:
        items = None if items is None or part.line_items is None else [*items, *part.line_items]
    unknown = frozenset[str]().union(*[part.unknown for part in parts])
    known_ids = {one.kind: one for part in reversed(parts) for one in part.upstream_ids}
    return msgspec.structs.replace(
        first,
        upstream_ids=tuple(known_ids[one] for one in _kinds(parts)),
        trackings=tuple(dict.fromkeys(one for part in parts for one in part.trackings)),
        line_items=None if items is None else tuple(items),
        unknown=unknown - {"status"} if first.left else unknown,
    )


def _with_one_of_each_id(listed: Sequence[Seen]) -> list[Seen]:
    """Return the packages without those that repeat another one, its own id included."""
    packages: dict[Hashable, Seen] = {}
    for place, package in enumerate(listed):
        own = own_ids(package)
        packages.setdefault((own, _shown(package)) if own else place, package)
    return list(packages.values())


def _inside(package: Package | Seen) -> Hashable:
    return numbers_of(package.trackings), contents_of(package.line_items)


def _shown(package: Seen) -> Hashable:
    """Return what two packages have equal that are equal in all but their ids."""
    lines = tuple(sorted([item.line_id or "" for item in package.line_items or ()]))
    return _inside(package), lines, package.carrier, package.shipped_at, package.status


class _Counted:
    """What was ordered, and what is in the packages: by order line where it is known, else by SKU.

    Packages that have not left do not count against those that have.
    """

    def __init__(self, ordered: Sequence[LineItem], packages: Sequence[Seen]) -> None:
        lines = [(("line", item.line_id), item.quantity) for item in ordered if item.line_id]
        self._lines = {key for key, _ in lines}
        self._ordered = _sums([*lines, *[(("sku", item.sku), item.quantity) for item in ordered]])
        self._packed = {
            left: self._units([one for one in packages if one.left or not left])
            for left in (False, True)
        }

    def fitting(self, group: Sequence[Seen]) -> int:
        """Return how many of these equal packages are no more than was ordered.

        All of them where a quantity is not known.
        """
        packed, found = self._packed[group[0].left], len(group)
        for product, count in self._units(group[:1]).items():
            ordered, all_of_it = self._ordered.get(product), packed[product]
            if ordered is not None and count and all_of_it is not None:
                excess = all_of_it - ordered
                found = min(found, int((len(group) * count - excess) // count))
        return found

    def _units(self, packages: Iterable[Seen]) -> dict[Hashable, Decimal | None]:
        items = [item for one in packages for item in one.line_items or ()]
        keys = [("line", item.line_id) for item in items]
        return _sums(
            [
                (key if key in self._lines else ("sku", item.sku), item.quantity)
                for key, item in zip(keys, items, strict=True)
            ]
        )


def _sums(
    counts: Iterable[tuple[Hashable, str | None]],
) -> dict[Hashable, Decimal | None]:
    """Return the sum of each; None where one of its quantities is not known."""
    sums: dict[Hashable, Decimal | None] = {}
    for key, count in counts:
        known = sums.get(key, Decimal(0))
        if known is None or count is None:
            sums[key] = None
        else:
            sums[key] = EXACT.add(known, Decimal(count))
    return sums


def pair(
    stored: Sequence[Package], seen: Sequence[Seen], positional: Collection[str] = ()
) -> dict[int, int]:
    """For each index in `seen` that is a known package: its index in `stored`.

    `positional` are the kinds of ids that have always been places in the list.
    """
    live = [index for index, package in enumerate(stored) if package.status != "removed"]
    # A place belongs to whoever stands there now: what is removed has none any more.
    holders = [stored[index] for index in live] if positional else stored
    shared = shared_ids(holders, seen)
    pairs = _shifted(stored, live, seen, positional) if positional else {}
    if not pairs:
        pairs = _unchanged_pairs(stored, live, seen, shared)
    if len(pairs) == len(seen) or len(pairs) == len(stored):
        return pairs
    paired = set(pairs.values())
    live = [index for index in live if index not in paired]
    removed = [
        index
        for index, package in enumerate(stored)
        if package.status == "removed" and index not in paired
    ]
    shared_once = shared | shared_ids(stored) if positional else shared
    matching = _Matching(
        {index: Evidence.of(stored[index], shared) for index in live}
        | {index: Evidence.of(stored[index], shared_once) for index in removed},
        {index: Evidence.of(one, shared) for index, one in enumerate(seen) if index not in pairs},
    )
    for kind in _kinds(seen):
        matching.by_id(kind)
    for group in (live, removed):
        matching.by_key(group, _unchanged)
        matching.by_number(group)
        matching.by_key(group, _untracked_departure, ids_decide=False)
    matching.by_key(live, _untracked_contents, _contents)
    matching.by_shipping(live)
    matching.last_ones(live)
    unannounced = [index for index in removed if stored[index].shipped_event_id is None]
    matching.by_key(unannounced, _untracked_contents, _contents)
    matching.by_shipping(removed)
    return pairs | matching.pairs


def _shifted(
    stored: Sequence[Package],
    live: Sequence[int],
    seen: Sequence[Seen],
    positional: Collection[str],
) -> dict[int, int]:
    """Return the packages that stand at another place now, by their numbers and contents.

    Only where both name one stored package, and no id but the place says anything.
    """
    if len(live) == len(seen) and all(
        stored[index].trackings == one.trackings and stored[index].line_items == one.line_items
        for index, one in zip(live, seen, strict=True)
    ):
        return {}
    known: dict[Hashable, list[int]] = defaultdict(list)
    for index, package in enumerate(stored):
        if (key := _placed(package, positional)) is not None:
            known[key].append(index)
    unclaimed: dict[Hashable, list[int]] = defaultdict(list)
    for new, one in enumerate(seen):
        if (key := _placed(one, positional)) in known:
            unclaimed[key].append(new)
    lively = set(live)
    pairs = {}
    for key, news in unclaimed.items():
        olds = [index for index in known[key] if index in lively] or known[key]
        if len(olds) == len(news) == 1:
            pairs[news[0]] = olds[0]
    return pairs


def _placed(package: Package | Seen, positional: Collection[str]) -> Hashable | None:
    """Return numbers and contents of a package that has both, and no id but its place."""
    numbers, contents = numbers_of(package.trackings), contents_of(package.line_items)
    if not numbers or not contents:
        return None
    placed = all(one.kind in positional for one in package.upstream_ids)
    return (numbers, contents) if placed else None


def _unchanged_pairs(
    stored: Sequence[Package], live: Sequence[int], seen: Sequence[Seen], shared: Set[UpstreamId]
) -> dict[int, int]:
    """Those with the same ids of the source's own, or without any and the same in all: most.

    What the rules would find for them, at little cost; only what is left over is put to the rules.
    """
    pairs: dict[int, int] = {}
    moved = []
    for place, index in enumerate(live):
        if place < len(seen) and _same(stored[index], seen[place], shared):
            pairs[place] = index
        else:
            moved.append(index)
    if not moved or len(pairs) == len(seen):
        return pairs
    alike: dict[Hashable, deque[int]] = defaultdict(deque)
    for new, one in enumerate(seen):
        if new not in pairs:
            alike[_likeness(one, shared)].append(new)
    for index in moved:
        if news := alike.get(_likeness(stored[index], shared)):
            pairs[news.popleft()] = index
    return pairs


def _same(old: Package, new: Seen, shared: Set[UpstreamId]) -> bool:
    if old.upstream_ids or new.upstream_ids:
        if not shared:
            return old.upstream_ids == new.upstream_ids
        return _likeness(old, shared) == _likeness(new, shared)
    return (
        old.trackings == new.trackings
        and old.line_items == new.line_items
        and old.carrier == new.carrier
        and old.shipped_at == new.shipped_at
    )


def _likeness(package: Package | Seen, shared: Set[UpstreamId]) -> Hashable:
    """What two packages have equal when `_same` holds of them."""
    if ids := tuple([one for one in package.upstream_ids if one not in shared]):
        return ids
    items = package.line_items
    lines = None if items is None else tuple([_ENCODER.encode(item) for item in items])
    return package.trackings, lines, package.carrier, package.shipped_at


def mint(
    key: str,
    packages: Sequence[tuple[int, Seen]],
    taken: Iterable[str],
    shared: Set[UpstreamId] = frozenset(),
) -> dict[int, tuple[str, Identity]]:
    """Id and its basis for each (index, package) seen for the first time.

    `taken` are the ids of the fulfillment's known packages; source ids that are `shared` are none.
    Ordinals among equals follow the sorted contents, so the order of the array decides nothing.
    """
    used = set(taken)
    found: dict[int, tuple[str, Identity]] = {}
    equals: dict[tuple[Identity, tuple[str, ...]], list[tuple[int, Seen]]] = {}
    for index, package in packages:
        equals.setdefault(_basis(package, shared), []).append((index, package))
    for (basis, words), group in equals.items():
        if len(group) > 1:
            group.sort(key=lambda one: (_sortable(Evidence.of(one[1])), one[0]))
        ordinal = 0
        for index, _ in group:
            while (package_id := minted("pkg", [key, basis, *words, ordinal])) in used:
                ordinal += 1
            used.add(package_id)
            found[index] = package_id, basis
    return found


class _Matching:
    """Pairs made so far; every rule sees only what the rules before it left over."""

    def __init__(self, old: dict[int, Evidence], new: dict[int, Evidence]) -> None:
        self.pairs: dict[int, int] = {}
        self._old, self._new = old, new
        self._free_old, self._free_new = set(old), dict.fromkeys(new)
        self._old_kinds = {index: kinds_of(one) for index, one in old.items()}
        self._new_kinds = {index: kinds_of(one) for index, one in new.items()}
        self._compared: set[str] = set()  # kinds of ids

    def by_id(self, kind: str) -> None:
        """One id of this kind, unless ids of a better kind differ."""
        olds = {one: old for old in self._free_old for one in self._old[old].ids}
        for new in list(self._free_new):
            own = next((one for one in self._new[new].ids if one.kind == kind), None)
            old = None if own is None else olds.get(own)
            if old is not None and not self._contradict(old, new):
                self._take(old, new)
        self._compared.add(kind)

    def by_key(
        self,
        group: Iterable[int],
        old_key: Callable[[Evidence], Hashable | None],
        new_key: Callable[[Evidence], Hashable | None] | None = None,
        *,
        ids_decide: bool = True,
    ) -> None:
        """Equal keys are the same package, in array order."""
        for olds, news in self._buckets(group, old_key, new_key or old_key):
            if ids_decide:
                self._in_order(olds, news)
                continue
            for old, new in zip(olds, news, strict=False):
                self._take(old, new)

    def by_number(self, group: Iterable[int]) -> None:
        """One tracking number; boxes that share it stay as many as they are, by contents."""
        if not self._free_new:
            return
        numbers: dict[str, list[int]] = defaultdict(list)
        for old in self._free(group):
            for number in self._old[old].numbers:
                numbers[number].append(old)
        if not numbers:
            return
        news: dict[str, list[int]] = defaultdict(list)
        for new in self._free_new:
            for number in self._new[new].numbers & numbers.keys():
                news[number].append(new)
        for number in sorted(news):
            olds = self._free(numbers[number])
            free = [new for new in news[number] if new in self._free_new]
            self._assign(
                sorted(olds, key=lambda old: (_sortable(self._old[old]), old)),
                sorted(free, key=lambda new: (_sortable(self._new[new]), new)),
                overlap_min=0.0,
            )

    def by_shipping(self, group: Iterable[int]) -> None:
        """The same shipped instant and carrier, contents at least half the same."""
        for olds, news in self._buckets(group, _shipping, _shipping):
            self._assign(olds, news, overlap_min=OVERLAP_MIN)

    def last_ones(self, group: Iterable[int]) -> None:
        """As many old as new ones with these contents, or left at all where they are not told."""
        group = list(group)
        for olds, news in self._buckets(group, _contents, _contents):
            self._by_position(olds, news)
        self._by_position(self._free(group), list(self._free_new))

    def _by_position(self, olds: list[int], news: list[int]) -> None:
        """In array order, when the counts are equal; contents that differ are two packages."""
        for old, new in zip(olds, news, strict=True) if len(olds) == len(news) else ():
            told = self._old[old].contents, self._new[new].contents
            alike = told[0] == told[1] or None in told
            if alike and not self._contradict(old, new):
                self._take(old, new)

    def _buckets(
        self,
        group: Iterable[int],
        old_key: Callable[[Evidence], Hashable | None],
        new_key: Callable[[Evidence], Hashable | None],
        among: Iterable[int] | None = None,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """What is free in `group` and `among` the new ones, put together by key; None is no key."""
        if not self._free_old or not self._free_new:
            return
        olds: dict[Hashable, list[int]] = defaultdict(list)
        for old in self._free(group):
            olds[old_key(self._old[old])].append(old)
        olds.pop(None, None)
        news: dict[Hashable, list[int]] = defaultdict(list)
        for new in self._free_new if among is None else among:
            news[new_key(self._new[new])].append(new)
        yield from ((olds[key], found) for key, found in news.items() if key in olds)

    def _in_order(self, olds: Sequence[int], news: Sequence[int]) -> None:
        """Pair each of `news` with the first of `olds` that its ids do not contradict."""
        waiting: dict[frozenset[str], deque[tuple[int, int]]] = defaultdict(deque)
        for place, old in enumerate(olds):
            waiting[self._old_kinds[old]].append((place, old))
        for new in news:
            kinds = self._new_kinds[new] & self._compared
            fitting = [found for known, found in waiting.items() if found and not known & kinds]
            if fitting:
                _, old = min(fitting, key=lambda found: found[0]).popleft()
                self._take(old, new)

    def _assign(self, olds: list[int], news: list[int], *, overlap_min: float) -> None:
        """The pairs with the most overlap in all; ties by the order given."""
        if max(len(olds), len(news)) <= PERMUTED_MAX:
            every = [(old, new) for old in olds for new in news]
            for old, new in _best(olds, news, self._overlaps(every, overlap_min)):
                self._take(old, new)
            return
        for alike in list(self._buckets(olds, _contents, _contents, news)):
            self._in_order(*alike)
        olds, news = self._free(olds), [new for new in news if new in self._free_new]
        allowed = self._overlaps(self._candidates(olds, news), overlap_min)
        for old, new in sorted(allowed, key=lambda pair: -allowed[pair]):
            if old in self._free_old and new in self._free_new:
                self._take(old, new)
        if overlap_min == 0.0:
            left = [new for new in news if new in self._free_new]
            for old, new in zip(self._free(olds), left, strict=False):
                self._take(old, new)

    def _candidates(self, olds: list[int], news: list[int]) -> list[tuple[int, int]]:
        """Every pair; of too many only those that are near in the order of their contents."""
        if len(olds) * len(news) <= COMPARED_MAX:
            return [(old, new) for old in olds for new in news]
        ordered = sorted((_sortable(self._old[old]), old) for old in olds)
        pairs = []
        for new in news:
            place = bisect_left(ordered, (_sortable(self._new[new]), -1))
            near = ordered[max(0, place - NEIGHBORS) : place + NEIGHBORS]
            pairs += [(old, new) for _, old in near]
        return pairs

    def _overlaps(
        self, pairs: Iterable[tuple[int, int]], overlap_min: float
    ) -> dict[tuple[int, int], float]:
        """How much of their contents is the same, of those where it is enough.

        Where a number makes the pair (`overlap_min` 0), ids do not speak against it.
        """
        found = {
            (old, new): overlap(self._old[old].contents, self._new[new].contents)
            for old, new in pairs
            if overlap_min == 0.0 or not self._contradict(old, new)
        }
        return {pair: shared for pair, shared in found.items() if shared >= overlap_min}

    def _take(self, old: int, new: int) -> None:
        self.pairs[new] = old
        self._free_old.remove(old)
        del self._free_new[new]

    def _free(self, group: Iterable[int]) -> list[int]:
        return [old for old in group if old in self._free_old]

    def _contradict(self, old: int, new: int) -> bool:
        """Two ids of one kind that differ are two packages.

        One that is the same has paired them already, so of what is free only different ones remain.
        """
        return not self._compared.isdisjoint(self._old_kinds[old] & self._new_kinds[new])


def _best(
    olds: list[int], news: list[int], allowed: dict[tuple[int, int], float]
) -> list[tuple[int, int]]:
    """The most pairs, then the greatest sum of overlaps, then array order."""
    few, many = (olds, news) if len(olds) <= len(news) else (news, olds)
    best: list[tuple[int, int]] = []
    best_worth = (0, 0.0)
    for chosen in permutations(many, len(few)):
        pairs = list(
            zip(few, chosen, strict=True) if few is olds else zip(chosen, few, strict=True)
        )
        pairs = [pair for pair in pairs if pair in allowed]
        worth = (len(pairs), sum(allowed[pair] for pair in pairs))
        if worth > best_worth:
            best, best_worth = pairs, worth
    return best


def _kinds(seen: Sequence[Seen]) -> list[str]:
    """Every kind of id that is there, the best first, whatever the order of the packages."""
    told = {tuple([one.kind for one in package.upstream_ids]) for package in seen}
    longest_first = sorted(told, key=lambda kinds: (-len(kinds), kinds))
    return list(dict.fromkeys(kind for kinds in longest_first for kind in kinds))


def _unchanged(evidence: Evidence) -> Hashable | None:
    return evidence.numbers, evidence.contents, evidence.carrier, evidence.shipped_at


def _contents(evidence: Evidence) -> Hashable | None:
    return evidence.contents


def _untracked_contents(evidence: Evidence) -> Hashable | None:
    return None if evidence.numbers else evidence.contents


def _untracked_departure(evidence: Evidence) -> Hashable | None:
    """What makes two packages without a number one, also under another id."""
    if evidence.numbers or evidence.shipped_at is None or not evidence.contents:
        return None
    return evidence.shipped_at, evidence.carrier, evidence.contents


def _shipping(evidence: Evidence) -> Hashable | None:
    return None if evidence.shipped_at is None else (evidence.shipped_at, evidence.carrier)


def _basis(package: Seen, shared: Set[UpstreamId]) -> tuple[Identity, tuple[str, ...]]:
    """The best evidence of a package seen for the first time."""
    own = next((one for one in package.upstream_ids if one not in shared), None)
    if own is not None:
        return ("sscc" if own.kind == "sscc" else "source_id"), (own.kind, own.id)
    if numbers := numbers_of(package.trackings):
        return "tracking", tuple(sorted(numbers))
    return "content", (repr(contents_of(package.line_items)),)


def _sortable(shown: Evidence) -> tuple[str, list[str], str, str]:
    """A total order that knows no array positions."""
    moment = shown.shipped_at or ""
    return repr(shown.contents), sorted(shown.numbers), moment, shown.carrier or ""
