"""What can happen to the packages of one order: the stories a world is dealt from.

Every story keeps packages pairable without ids, also when several steps are seen at once:
contents never repeat within an order (but for twins that never change), at most one package has
its tracking number corrected, and that one keeps its contents and stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from testbed.cast import CARRIERS, Cast
from testbed.orders import Contents, Line, Order, Package

ANOTHER_ID = 10**12  # more than any id of a package


class Step(NamedTuple):
    """One mutation of an order; `while_open` ones come before the order has shipped whole."""

    kind: str
    act: Callable[[Order, datetime], Order]
    while_open: bool = False


class Story(NamedTuple):
    """What happens to an order, by name."""

    name: str
    needs_package_ids: bool = False
    sources: tuple[str, ...] = ()  # that can show it; none: all of them


STORIES = (
    Story("plain"),
    Story("label_first"),
    Story("time_first"),
    Story("number_only"),
    Story("empty_first"),
    Story("corrected"),
    Story("label_first_corrected"),
    Story("contents_grown"),
    Story("contents_shrunk"),
    Story("label_kept"),
    Story("label_removed"),
    Story("shipped_removed"),
    Story("shipped_restored"),
    Story("carrier_corrected"),
    Story("time_corrected"),
    # Told twice: a poll may see two of their steps at once, and not every upstream shows them.
    Story("shipped_restored"),
    Story("carrier_corrected"),
    Story("time_corrected"),
    Story("twins"),
    Story("equal_twins"),
    Story("canceled"),
    Story("label_canceled"),
    Story("replaced_by_equal", needs_package_ids=True),
    Story("renumbered", sources=("zentail",)),
    Story("id_replaced", sources=("zentail", "tradecloud")),
    Story("listed_twice", sources=("zentail", "tradecloud")),
)


def tell(rng: Random, number: int, story: str) -> tuple[tuple[Line, ...], list[list[Step]]]:
    """The lines of an order and, per package, the steps it will go through in their order.

    The last of several threads is a package of its own without any `while_open` step.
    """
    cast = Cast(rng, number, several=story != "plain")
    if story in ("canceled", "label_canceled"):
        return cast.lines, [_canceled(cast, with_label=story == "label_canceled")]
    threads = [[Step("permuted", _permute(rng.getrandbits(32)))] for _ in range(rng.randint(0, 2))]
    boxes = cast.split()
    if story == "renumbered":
        return cast.lines, threads + [[_in_front(cast, contents)] for contents in boxes]
    if story == "equal_twins":
        threads.append(_twins(cast, *cast.equal_twins()))
    elif story == "twins" and len(boxes) > 1:
        threads.append(_twins(cast, boxes.pop(), boxes.pop()))
    elif story == "label_removed" and (spare := cast.unused_contents()):
        label = cast.package(spare)
        threads.append([_birth(cast, "labeled", label), _removal("label_removed", label)])
    elif story in _PACKAGE_STORIES and len(boxes) > 1:
        threads.append(_PACKAGE_STORIES[story](cast, boxes.pop()))
    everyday = (_at_once, _at_once, _label_first, _number_only)
    return cast.lines, threads + [rng.choice(everyday)(cast, contents) for contents in boxes]


def _birth(cast: Cast, kind: str, *packages: Package, shipped: bool = False) -> Step:
    """The packages appear together, somewhere in the array; `shipped` stamps their time."""
    place = cast.rng.random()

    def act(order: Order, at: datetime) -> Order:
        born = [replace(p, shipped_at=at) if shipped else p for p in packages]
        index = int(place * (len(order.packages) + 1))
        return order.with_packages((*order.packages[:index], *born, *order.packages[index:]))

    return Step(kind, act)


def _change(
    kind: str,
    package: Package,
    act_on: Callable[[Package, datetime], Package],
    *,
    while_open: bool = False,
) -> Step:
    def act(order: Order, at: datetime) -> Order:
        return order.with_package(act_on(order.package(package.truth_id), at))

    return Step(kind, act, while_open)


def _numbered(kind: str, package: Package, number: str) -> Step:
    return _change(kind, package, lambda old, _at: replace(old, tracking=number))


def _shipping(kind: str, package: Package, number: str) -> Step:
    return _change(kind, package, lambda old, at: replace(old, tracking=number, shipped_at=at))


def _repacked(kind: str, package: Package, contents: Contents) -> Step:
    return _change(kind, package, lambda old, _at: replace(old, contents=contents), while_open=True)


def _removal(kind: str, package: Package, *, while_open: bool = False) -> Step:
    def act(order: Order, _at: datetime) -> Order:
        return order.with_packages(p for p in order.packages if p.truth_id != package.truth_id)

    return Step(kind, act, while_open)


def _permute(seed: int) -> Callable[[Order, datetime], Order]:
    def act(order: Order, _at: datetime) -> Order:
        packages = list(order.packages)
        Random(seed).shuffle(packages)
        return replace(order, packages=tuple(packages))

    return act


def _at_once(cast: Cast, contents: Contents) -> list[Step]:
    package = replace(cast.package(contents), tracking=cast.tracking())
    return [_birth(cast, "shipped", package, shipped=True)]


def _label_first(cast: Cast, contents: Contents) -> list[Step]:
    label = cast.package(contents)
    ship = _shipping("label_shipped", label, cast.tracking())
    return [_birth(cast, "labeled", label), ship]


def _label_kept(cast: Cast, contents: Contents) -> list[Step]:
    return [_birth(cast, "labeled", cast.package(contents))]


def _time_first(cast: Cast, contents: Contents) -> list[Step]:
    package = cast.package(contents)
    number = _numbered("number_added", package, cast.tracking())
    return [_birth(cast, "shipped_without_number", package, shipped=True), number]


def _number_only(cast: Cast, contents: Contents) -> list[Step]:
    package = replace(cast.package(contents), tracking=cast.tracking())
    return [_birth(cast, "shipped_without_time", package)]


def _empty_first(cast: Cast, contents: Contents) -> list[Step]:
    package = replace(cast.package(()), tracking=cast.tracking())
    fill = _change(
        "filled", package, lambda old, at: replace(old, contents=contents, shipped_at=at)
    )
    return [_birth(cast, "appeared_empty", package), fill]


def _corrected(cast: Cast, contents: Contents) -> list[Step]:
    package = replace(cast.package(contents), tracking=cast.tracking())
    correction = _numbered("number_corrected", package, cast.tracking())
    return [_birth(cast, "shipped", package, shipped=True), correction]


def _label_first_corrected(cast: Cast, contents: Contents) -> list[Step]:
    label = cast.package(contents)
    ship = _shipping("label_shipped", label, cast.tracking())
    correction = _numbered("number_corrected", label, cast.tracking())
    return [_birth(cast, "labeled", label), ship, correction]


def _contents_grown(cast: Cast, contents: Contents) -> list[Step]:
    less = cast.without_a_unit(contents)
    if less is None:
        return _at_once(cast, contents)
    package = replace(cast.package(less), tracking=cast.tracking())
    grow = _repacked("contents_grown", package, contents)
    return [_birth(cast, "shipped", package, shipped=True), grow]


def _contents_shrunk(cast: Cast, contents: Contents) -> list[Step]:
    less = cast.without_a_unit(contents)
    if less is None:
        return _at_once(cast, contents)
    package = replace(cast.package(contents), tracking=cast.tracking())
    shrink = _repacked("contents_shrunk", package, less)
    return [_birth(cast, "shipped", package, shipped=True), shrink]


def _shipped_removed(cast: Cast, contents: Contents) -> list[Step]:
    package = replace(cast.package(contents), tracking=cast.tracking())
    removal = _removal("shipped_removed", package, while_open=True)
    return [_birth(cast, "shipped", package, shipped=True), removal]


def _shipped_restored(cast: Cast, contents: Contents) -> list[Step]:
    """Gone for a while, then there again, sent anew."""
    package = replace(cast.package(contents), tracking=cast.tracking())
    back = _birth(cast, "shipped_restored", package, shipped=True)
    return [
        _birth(cast, "shipped", package, shipped=True),
        _removal("shipped_removed", package, while_open=True),
        back._replace(while_open=True),
    ]


def _carrier_corrected(cast: Cast, contents: Contents) -> list[Step]:
    package = replace(cast.package(contents), tracking=cast.tracking())
    carrier, level = cast.rng.choice([one for one in CARRIERS if one[0] != package.carrier])
    correction = _change(
        "carrier_corrected",
        package,
        lambda old, _at: replace(old, carrier=carrier, service_level=level),
    )
    return [_birth(cast, "shipped", package, shipped=True), correction]


def _time_corrected(cast: Cast, contents: Contents) -> list[Step]:
    """It left a day earlier than was told."""
    package = replace(cast.package(contents), tracking=cast.tracking())

    def act(old: Package, at: datetime) -> Package:
        return replace(old, shipped_at=(old.shipped_at or at) - timedelta(days=1))

    correction = _change("time_corrected", package, act)
    return [_birth(cast, "shipped", package, shipped=True), correction]


def _replaced_by_equal(cast: Cast, contents: Contents) -> list[Step]:
    package = replace(cast.package(contents), tracking=cast.tracking())
    successor = replace(cast.package(contents), tracking=cast.tracking())

    def act(order: Order, at: datetime) -> Order:
        left = [p for p in order.packages if p.truth_id != package.truth_id]
        return order.with_packages([*left, replace(successor, shipped_at=at)])

    return [
        _birth(cast, "shipped", package, shipped=True),
        Step("replaced_by_equal", act, while_open=True),
    ]


def _in_front(cast: Cast, contents: Contents) -> Step:
    """It comes first in the array, so that all the others get another number."""
    package = replace(cast.package(contents), tracking=cast.tracking())

    def act(order: Order, at: datetime) -> Order:
        changed = order.with_packages((replace(package, shipped_at=at), *order.packages))
        return replace(changed, numbered_by_place=True)

    return Step("renumbered", act)


def _id_replaced(cast: Cast, contents: Contents) -> list[Step]:
    """It never gets a tracking number, and nothing but its id changes."""
    package = cast.package(contents)
    package = replace(package, own_id=package.number)
    other = package.number + ANOTHER_ID
    change = _change("id_replaced", package, lambda old, _at: replace(old, own_id=other))
    return [_birth(cast, "shipped_without_number", package, shipped=True), change]


def _listed_twice(cast: Cast, contents: Contents) -> list[Step]:
    """With an id of its own, or so full that the order has not enough for two of it."""
    package = replace(cast.package(contents), tracking=cast.tracking(), listed=2)
    ordered = {line.product: line.quantity for line in cast.lines}
    if all(2 * count <= ordered[product] for product, count in contents):
        package = replace(package, own_id=package.number)
    change = _change("listed_once", package, lambda old, _at: replace(old, listed=1))
    return [_birth(cast, "listed_twice", package, shipped=True), change]


def _twins(cast: Cast, one: Contents, other: Contents) -> list[Step]:
    shared = cast.tracking()
    boxes = [replace(cast.package(contents), tracking=shared) for contents in (one, other)]
    return [_birth(cast, "twins_shipped", *boxes, shipped=True)]


def _canceled(cast: Cast, *, with_label: bool) -> list[Step]:
    label = _birth(cast, "labeled", cast.package(cast.split()[0]))
    cancel = Step("canceled", lambda order, _at: replace(order, status="canceled", packages=()))
    return [label, cancel] if with_label else [cancel]


_PACKAGE_STORIES: dict[str, Callable[[Cast, Contents], list[Step]]] = {
    "label_first": _label_first,
    "label_kept": _label_kept,
    "time_first": _time_first,
    "number_only": _number_only,
    "empty_first": _empty_first,
    "corrected": _corrected,
    "label_first_corrected": _label_first_corrected,
    "contents_grown": _contents_grown,
    "contents_shrunk": _contents_shrunk,
    "shipped_removed": _shipped_removed,
    "shipped_restored": _shipped_restored,
    "carrier_corrected": _carrier_corrected,
    "time_corrected": _time_corrected,
    "replaced_by_equal": _replaced_by_equal,
    "id_replaced": _id_replaced,
    "listed_twice": _listed_twice,
}
