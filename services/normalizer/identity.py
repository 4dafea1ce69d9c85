"""Which package of a snapshot is which stored one, and the id of one never seen before.

Pure.  Ids are sticky: minted once from the best evidence at first sight, then carried along by
pairing, so that a corrected tracking number stays a correction (reference C2).  The rules go from
what cannot be chance to what is merely likely; live packages come before removed ones, and a
removed one comes back only on evidence of its own, never because it is the last one left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import permutations

from schemas.fulfillment import Identity
from schemas.keys import minted
from services.normalizer.evidence import Evidence, contents_of, numbers_of, overlap
from services.normalizer.mapper import Seen
from services.normalizer.model import Package

OVERLAP_MIN = 0.5
PERMUTED_MAX = 6  # packages; above, the cheapest pairs are taken one by one


def pair(stored: Sequence[Package], seen: Sequence[Seen]) -> dict[int, int]:
    """For each index in `seen` that is a known package: its index in `stored`."""
    live = [index for index, package in enumerate(stored) if package.status != "removed"]
    pairs = _unchanged_pairs(stored, live, seen)
    if len(pairs) == len(seen) or len(pairs) == len(stored):
        return pairs
    paired = set(pairs.values())
    live = [index for index in live if index not in paired]
    removed = [index for index, package in enumerate(stored) if package.status == "removed"]
    matching = _Matching(
        {index: Evidence.of(stored[index]) for index in (*live, *removed)},
        {index: Evidence.of(one) for index, one in enumerate(seen) if index not in pairs},
    )
    matching.by_key([*live, *removed], _own_id, _own_id)
    for group in (live, removed):
        matching.by_key(group, _unchanged, _unchanged)
        matching.by_number(group)
    matching.by_key(live, _untracked_contents, _contents)
    matching.by_shipping(live)
    matching.last_ones(live)
    unannounced = [index for index in removed if stored[index].shipped_event_id is None]
    matching.by_key(unannounced, _untracked_contents, _contents)
    matching.by_shipping(removed)
    return pairs | matching.pairs


def _unchanged_pairs(
    stored: Sequence[Package], live: Sequence[int], seen: Sequence[Seen]
) -> dict[int, int]:
    """Those with one id of the source's own, or without any and the same in all: most, and cheap.

    What the rules would find for them; so only what is left over is put to the rules.
    """
    pairs: dict[int, int] = {}
    free = dict(enumerate(seen))
    for place, index in enumerate(live):
        old = stored[index]
        if place in free and _same(old, free[place]):
            new = place
        else:
            new = next((new for new, one in free.items() if _same(old, one)), -1)
        if new >= 0:
            pairs[new] = index
            del free[new]
    return pairs


def _same(old: Package, new: Seen) -> bool:
    if old.upstream_id is not None or new.upstream_id is not None:
        return old.upstream_id == new.upstream_id
    return (
        old.trackings == new.trackings
        and old.line_items == new.line_items
        and old.carrier == new.carrier
        and old.shipped_at == new.shipped_at
    )


def mint(
    key: str, packages: Sequence[tuple[int, Seen]], taken: Iterable[str]
) -> dict[int, tuple[str, Identity]]:
    """Id and its basis for each (index, package) seen for the first time.

    `taken` are the ids of the fulfillment's known packages.  Ordinals among equals follow the
    sorted contents, so the order of the array decides nothing.
    """
    used = set(taken)
    found: dict[int, tuple[str, Identity]] = {}
    equals: dict[tuple[Identity, tuple[str, ...]], list[tuple[int, Seen]]] = {}
    for index, package in packages:
        equals.setdefault(_basis(package), []).append((index, package))
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
        self._free_old, self._free_new = set(old), list(new)

    def by_key(
        self,
        group: Iterable[int],
        old_key: Callable[[Evidence], Hashable | None],
        new_key: Callable[[Evidence], Hashable | None],
    ) -> None:
        """Equal keys are the same package, in array order."""
        for olds, news in self._buckets(group, old_key, new_key):
            for new in news:
                for position, old in enumerate(olds):
                    if not self._contradict(old, new):
                        self._take(old, new)
                        del olds[position]
                        break

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
            free = [new for new in news[number] if new not in self.pairs]
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
        self._by_position(self._free(group), self._free_new)

    def _by_position(self, olds: list[int], news: list[int]) -> None:
        """In array order, when the counts are equal; contents that differ are two packages."""
        for old, new in zip(olds, list(news), strict=True) if len(olds) == len(news) else ():
            told = self._old[old].contents, self._new[new].contents
            alike = told[0] == told[1] or None in told
            if alike and not self._contradict(old, new):
                self._take(old, new)

    def _buckets(
        self,
        group: Iterable[int],
        old_key: Callable[[Evidence], Hashable | None],
        new_key: Callable[[Evidence], Hashable | None],
    ) -> Iterator[tuple[list[int], list[int]]]:
        """What is free on both sides, put together by key; None is no key."""
        if not self._free_old or not self._free_new:
            return
        olds: dict[Hashable, list[int]] = defaultdict(list)
        for old in self._free(group):
            olds[old_key(self._old[old])].append(old)
        olds.pop(None, None)
        news: dict[Hashable, list[int]] = defaultdict(list)
        for new in self._free_new:
            news[new_key(self._new[new])].append(new)
        yield from ((olds[key], found) for key, found in news.items() if key in olds)

    def _assign(self, olds: list[int], news: list[int], *, overlap_min: float) -> None:
        """The pairs with the most overlap in all; ties by the order given."""
        overlaps = {
            (old, new): overlap(self._old[old].contents, self._new[new].contents)
            for old in olds
            for new in news
            if overlap_min == 0.0 or not self._contradict(old, new)
        }
        allowed = {pair: found for pair, found in overlaps.items() if found >= overlap_min}
        if max(len(olds), len(news)) > PERMUTED_MAX:
            for old, new in sorted(allowed, key=lambda pair: -allowed[pair]):
                if old in self._free_old and new in self._free_new:
                    self._take(old, new)
            return
        for old, new in _best(olds, news, allowed):
            self._take(old, new)

    def _take(self, old: int, new: int) -> None:
        self.pairs[new] = old
        self._free_old.remove(old)
        self._free_new.remove(new)

    def _free(self, group: Iterable[int]) -> list[int]:
        return [old for old in group if old in self._free_old]

    def _contradict(self, old: int, new: int) -> bool:
        """Two ids of the source's own that differ are two packages."""
        one, other = self._old[old].upstream_id, self._new[new].upstream_id
        return one is not None and other is not None and one != other


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


def _own_id(evidence: Evidence) -> Hashable | None:
    return evidence.upstream_id


def _unchanged(evidence: Evidence) -> Hashable | None:
    return evidence.numbers, evidence.contents, evidence.carrier, evidence.shipped_at


def _contents(evidence: Evidence) -> Hashable | None:
    return evidence.contents


def _untracked_contents(evidence: Evidence) -> Hashable | None:
    return None if evidence.numbers else evidence.contents


def _shipping(evidence: Evidence) -> Hashable | None:
    return None if evidence.shipped_at is None else (evidence.shipped_at, evidence.carrier)


def _basis(package: Seen) -> tuple[Identity, tuple[str, ...]]:
    """The best evidence of a package seen for the first time."""
    if package.upstream_id is not None:
        return package.upstream_id_kind, (package.upstream_id,)
    if numbers := numbers_of(package.trackings):
        return "tracking", tuple(sorted(numbers))
    return "content", (repr(contents_of(package.line_items)),)


def _sortable(shown: Evidence) -> tuple[str, list[str], str, str]:
    """A total order that knows no array positions."""
    moment = shown.shipped_at or ""
    return repr(shown.contents), sorted(shown.numbers), moment, shown.carrier or ""
