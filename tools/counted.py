# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""What was counted of one exec, and how such numbers are laid out."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Count:
    """One exec."""

    what: str
    memory: int  # MiB
    total: int = 0  # by the machine's counter, with each iteration of a string instruction
    iterations: int = 0  # of these
    parts: dict[str, int] = field(default_factory=dict)  # instructions by part, without iterations
    facts: dict[str, int] = field(default_factory=dict)

    def add(self, part: str, instructions: int) -> None:
        self.parts[part] = self.parts.get(part, 0) + instructions

    @property
    def instructions(self) -> int:
        return self.total - self.iterations


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """a and b of the line a + b * x that is nearest to the points by least squares; None for fewer than two places.

    >>> fit([(0, 5), (10, 25), (100, 205)])
    (5.0, 2.0)
    >>> fit([(1, 5), (1, 6)])
    """
    if len({x for x, _ in points}) < 2:
        return None
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    slope = (sum((x - middle_x) * (y - middle_y) for x, y in points)
             / sum((x - middle_x) ** 2 for x, _ in points))
    return middle_y - slope * middle_x, slope


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """
    >>> print(table(("what", "n"), [("a", 12345), ("b", None)]))
    | what |      n |
    |------|-------:|
    | a    | 12,345 |
    | b    |        |
    """
    def cell(value: object) -> str:
        return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)

    texts = [[cell(value) for value in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(head))]
    lines = ["| " + " | ".join(text.rjust(width) if column else text.ljust(width)
                               for column, (text, width) in enumerate(zip(row, widths))) + " |" for row in texts]
    lines.insert(1, "|" + "|".join("-" * (width + 1) + ("-" if not column else ":")
                                   for column, width in enumerate(widths)) + "|")
    return "\n".join(lines)
