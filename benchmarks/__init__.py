"""How fast, and beside what: every module in this folder is a bench, named as it is.

A bench has `async def rows() -> list[Row]`.  What it is measured beside stands in `peers`, what
it is fed with in `inputs`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio has to keep."""

    bound: Literal[">=", "<="]
    ratio: float

    def met(self, ratio: float) -> bool:
        """Whether it does; never for a ratio that is no number."""
        return ratio >= self.ratio if self.bound == ">=" else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{self.bound} {self.ratio:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of ours and the same figure of its peer, from the same run; or what it may be.

    `goal` is what would be better still; it decides nothing.  `target` None: the figure explains
    others.
    """

    name: str
    value: float
    unit: str
    baseline: float
    target: Target | None
    goal: Target | None = None

    @property
    def ratio(self) -> float:
        """`value / baseline`; not a number when there is nothing to compare with."""
        return self.value / self.baseline if self.baseline > 0 else math.nan

    @property
    def ok(self) -> bool:
        """Whether the target is met, if there is one."""
        return self.target is None or self.target.met(self.ratio)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: a figure that is no number is null."""
        figures = {"value": self.value, "baseline": self.baseline, "ratio": self.ratio}
        told = {name: figure if math.isfinite(figure) else None for name, figure in figures.items()}
        bounds = {"target": self.target, "goal": self.goal}
        words = {name: str(bound) if bound else None for name, bound in bounds.items()}
        return {**asdict(self), **told, **words, "ok": self.ok}
