#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Which execs are to be tried: every way from a running kernel to an image that makes sense, and few of them for all.

The axes are those of `Cell`. `everything` is their whole product, but what makes no sense; `covering` is a part of it in
which each pair of values that any cell has occurs: most faults take two circumstances to show [nist/sp800-142]. Both are
the same each time. An entry contract is a line in IMAGES.

    matrix.py [--full]    prints the cells
"""

import argparse
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

PAGINGS = ("4m", "4k", "pae", "4level", "5level")
LINUX = ("linux-686", "linux-amd64")
SELF = tuple(f"self-{paging}" for paging in PAGINGS)

# By which entries which images are started.
IMAGES = {
    "linux32": (*LINUX, "vmlinux-686"),
    "linux64": ("linux-amd64", "vmlinux-amd64"),
    "real": LINUX,
    "pvh": ("vmlinux-amd64",),  # Debian builds its 32-bit kernel without it
    "multiboot": SELF,
    "multiboot2": ("told-multiboot2",),  # a kernel of the tests' own
    "paged": SELF,
}
TARGETS = tuple((entry, image) for entry, images in IMAGES.items() for image in images)

# How long a cell takes, about: of two that cover as many pairs the quicker one is taken.
COST = {"self": 1, "told": 1, "vmlinux": 4, "linux": 5}
COST_OF_MORE_PROCESSORS = 2


@dataclass(frozen=True)
class Cell:
    """One exec. The fields are the axes."""

    paging: str  # of the kernel that execs
    target: tuple[str, str]  # entry and image
    copy: str = "paged"
    cpus: int = 1
    firmware: str = "seabios"
    staging: str = "early"

    @property
    def entry(self) -> str:
        return self.target[0]

    @property
    def image(self) -> str:
        return self.target[1]

    @property
    def name(self) -> str:
        return f"{self.paging}-{self.copy}-{self.entry}-{self.image}-{self.cpus}cpu-{self.firmware}-{self.staging}"

    @property
    def cost(self) -> int:
        return COST[self.image.partition("-")[0]] * (COST_OF_MORE_PROCESSORS if self.cpus > 1 else 1)

    def makes_sense(self) -> bool:
        return not (self.entry == "real" and self.firmware == "qboot")  # which has no BIOS services


AXES = {
    "paging": PAGINGS,
    "target": TARGETS,
    "copy": ("paged", "unpaged"),
    "cpus": (1, 4),
    "firmware": ("seabios", "qboot"),
    "staging": ("early", "late"),
}
CHANGING = ("firmware", "staging")  # axes that `full` does not multiply by


def everything() -> list[Cell]:
    cells = (Cell(*values) for values in itertools.product(*AXES.values()))
    return [cell for cell in cells if cell.makes_sense()]


def combinations(cell: Cell, size: int) -> set[tuple]:
    """Of so many of its values, each with its axis."""
    return set(itertools.combinations(enumerate(astuple(cell)), size))


def covering(cells: Sequence[Cell]) -> list[Cell]:
    """Some of the cells, with all pairs of values that any of them has: always the one next that adds most to what it
    costs; of several that with most triples that were not there yet, and then the first.

    >>> def pairs(cells):
    ...     return {pair for cell in cells for pair in combinations(cell, 2)}
    >>> chosen = covering(everything())
    >>> pairs(chosen) == pairs(everything())
    True
    >>> chosen == covering(everything()) and len(chosen) == len(set(chosen)) < len(everything()) // 10
    True
    """
    pairs = {cell: combinations(cell, 2) for cell in cells}
    triples = {cell: combinations(cell, 3) for cell in cells}
    missing = set().union(*pairs.values())
    new = set().union(*triples.values())
    chosen = []
    while missing:
        best = max(cells, key=lambda cell: (len(pairs[cell] & missing) / (2 + cell.cost), len(triples[cell] & new)))
        chosen.append(best)
        missing -= pairs[best]
        new -= triples[best]
    return chosen


def full() -> list[Cell]:
    """Paging, target, copy and processors in every combination; the other axes change from one cell to the next.

    >>> kept = {tuple(getattr(cell, axis) for axis in AXES if axis not in CHANGING) for cell in full()}
    >>> kept == {tuple(getattr(cell, axis) for axis in AXES if axis not in CHANGING) for cell in everything()}
    True
    >>> len(kept) == len(full())
    True
    """
    groups: dict[tuple, list[Cell]] = {}
    for cell in everything():
        groups.setdefault(tuple(getattr(cell, axis) for axis in AXES if axis not in CHANGING), []).append(cell)
    return [cells[number % len(cells)] for number, cells in enumerate(groups.values())]


def cells(whole: bool) -> list[Cell]:
    return full() if whole else covering(everything())


assert tuple(AXES) == tuple(axis.name for axis in fields(Cell))


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the execs that tests/qemu/run tries.")
    parser.add_argument("--full", action="store_true", help="those of scripts/test --full")
    chosen: Iterable[Cell] = cells(parser.parse_args().full)
    print("\n".join(cell.name for cell in chosen))


if __name__ == "__main__":
    main()
