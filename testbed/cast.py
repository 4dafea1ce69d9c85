"""The things one order's story is told with: lines, contents, packages, tracking numbers.

Keeps what is used up, so that nothing an identity could be confused by is dealt twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from testbed.orders import Contents, Line, Package, contents_of, units_of

CARRIERS = (
    ("UPS", "Ground"),
    ("USPS", "Priority"),
    ("FedEx ", "Home Delivery"),
    ("dhl", "Express"),
)
PRODUCTS = (
    "MUG-BLU",
    "MUG-RED",
    "TEAPOT-9",
    "TRAY-OAK",
    "SPOON-6",
    "KETTLE-2",
    "70041208",
    "JAR-1L",
)
LINES_MAX = 3
QUANTITY_MAX = 5
PACKAGES_MAX = 4
UNKNOWN_SKU_CHANCE = 0.15
DRAWS_MAX = 20
ALL_DIGITS_EVERY = 4  # one in so many orders has tracking numbers of digits alone


@dataclass
class Cast:
    """The lines of one order, and what its packages have used up so far.

    `several` asks for enough products and units that the order can be sent in several packages.
    """

    rng: Random
    number: int
    several: bool = True
    lines: tuple[Line, ...] = ()
    used: set[Contents] = field(default_factory=set)
    lines_made: int = 0
    packages_made: int = 0
    numbers_made: int = 0

    def __post_init__(self) -> None:
        lines_min = 2 if self.several else 1
        products = self.rng.sample(PRODUCTS, self.rng.randint(lines_min, LINES_MAX))
        self.lines = tuple(self._line(product) for product in products)

    def _line(self, product: str, quantity: int | None = None) -> Line:
        self.lines_made += 1
        sku = None if self.rng.random() < UNKNOWN_SKU_CHANCE else product
        count = quantity or self.rng.randint(2 if self.several else 1, QUANTITY_MAX)
        return Line(f"{self.number}{self.lines_made}", sku, product, count)

    def split(self) -> list[Contents]:
        """All units of the order, split over packages whose contents all differ; largest last."""
        units = [line.product for line in self.lines for _ in range(line.quantity)]
        packages_max = min(PACKAGES_MAX, len(units))
        for _ in range(DRAWS_MAX):
            self.rng.shuffle(units)
            count = self.rng.randint(min(2, packages_max), packages_max)
            cuts = sorted(self.rng.sample(range(1, len(units)), count - 1))
            boxes = [contents_of(units[a:b]) for a, b in pairwise([0, *cuts, len(units)])]
            if len(set(boxes)) == count:
                self.used.update(boxes)
                return sorted(boxes, key=lambda box: sum(quantity for _, quantity in box))
        self.used.add(contents_of(units))
        return [contents_of(units)]

    def equal_twins(self) -> tuple[Contents, Contents]:
        """A line of its own whose units fill two boxes equally."""
        line = self._line("BENCH-KIT", 2 * self.rng.randint(1, 3))
        self.lines = (*self.lines, line)
        contents = ((line.product, line.quantity // 2),)
        self.used.add(contents)
        return contents, contents

    def unused_contents(self) -> Contents | None:
        """Some units of the order, packed as no other package of it ever is."""
        units = [line.product for line in self.lines for _ in range(line.quantity)]
        for _ in range(DRAWS_MAX):
            drawn = contents_of(self.rng.sample(units, self.rng.randint(1, len(units))))
            if drawn not in self.used:
                self.used.add(drawn)
                return drawn
        return None

    def without_a_unit(self, contents: Contents) -> Contents | None:
        """The contents less one unit, if something is left and no other package equals it."""
        for sku in self.rng.sample(list(dict(contents)), len(contents)):
            units = units_of(contents)
            units.remove(sku)
            less = contents_of(units)
            if less and less not in self.used:
                self.used.add(less)
                return less
        return None

    def package(self, contents: Contents) -> Package:
        """A new package of this order, of a carrier chance picks."""
        self.packages_made += 1
        carrier, level = self.rng.choice(CARRIERS)
        number = self.number * 10 + self.packages_made
        return Package(f"{self.number}#{self.packages_made}", number, contents, carrier, level)

    def tracking(self) -> str:
        """A tracking number no other package has."""
        self.numbers_made += 1
        head = "94" if self.number % ALL_DIGITS_EVERY == 0 else "1Z"
        return f"{head}{self.number:08d}{self.rng.randrange(10**6):06d}{self.numbers_made:02d}"
