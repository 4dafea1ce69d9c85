"""Which package of a snapshot is which stored one, and the id of one never seen before.

Pure.  Ids are sticky: minted once from the best evidence at first sight, then carried along by
pairing, so that a corrected tracking number stays a correction (reference C2).  The rules go from
what cannot be chance to what is merely likely; live packages come before removed ones, and a
removed one comes back only on evidence of its own, never because it is the last one left.

An id of the source's own that two packages of one side carry (pallets in one container) tells
neither from the other and is no id.  Ids are compared within their kind only.
Work is bounded: for n packages about n log n comparisons, whatever they have in common.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence, Set
from itertools import permutations

import msgspec

from schemas.fulfillment import Identity
from schemas.keys import minted
from services.normalizer.evidence import (
    Evidence,
    contents_of,
    kinds_of,
    numbers_of,
    overlap,
    shared_ids,
)
from services.normalizer.mapper import Seen
from services.normalizer.model import Package, UpstreamId

_ENCODER = msgspec.json.Encoder()
OVERLAP_MIN = 0.5
PERMUTED_MAX = 6  # packages; above, the cheapest pairs are taken one by one
COMPARED_MAX = 2_500  # pairs; above, a package is compared with its neighbors only
NEIGHBORS = 8  # on each side, in the order of their contents


def pair(stored: Sequence[Package], seen: Sequence[Seen]) -> dict[int, int]:
    """For each index in `seen` that is a known package: its index in `stored`."""
    live = [index for index, package in enumerate(stored) if package.status != "removed"]
    shared = shared_ids(stored, seen)
    pairs = _unchanged_pairs(stored, live, seen, shared)
    if len(pairs) == len(seen) or len(pairs) == len(stored):
        return pairs
    paired = set(pairs.values())
    live = [index for index in live if index not in paired]
    removed = [index for index, package in enumerate(stored) if package.status == "removed"]
    matching = _Matching(
        {index: Evidence.of(stored[index], shared) for index in (*live, *removed)},
        {index: Evidence.of(one, shared) for index, one in enumerate(seen) if index not in pairs},
    )
    for kind in _kinds(seen):
        matching.by_id(kind)
    for group in (live, removed):
        matching.by_key(group, _unchanged)
        matching.by_number(group)
    matching.by_key(live, _untracked_contents, _contents)
    matching.by_shipping(live)
    matching.last_ones(live)
    unannounced = [index for index in removed if stored[index].shipped_event_id is None]
    matching.by_key(unannounced, _untracked_contents, _contents)
    matching.by_shipping(removed)
    return pairs | matching.pairs


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
    ) -> None:
        """Equal keys are the same package, in array order."""
        for olds, news in self._buckets(group, old_key, new_key or old_key):
            self._in_order(olds, news)

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
