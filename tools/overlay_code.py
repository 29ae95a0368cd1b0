# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""What a debugger wants of a kernel's ELF file to follow a kernel exec: where interrupts go off, and the overlay.

The overlay is pieces of code that lie in one page, where each exec has them differently: they are found by their bytes.
Works for any reference kernel, 32-bit or 64-bit; what this takes of it are the names of the pieces.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import boot
import debugged
import gdbstub
from counted import Count

PIECE = re.compile(r"lobos_x86_(\w+)")
COPIES = {"copy": (), "copy_32": ("-M", "i386")}  # the copy loops, and how objdump is to read them
PAGE = 4096
AROUND_THE_LINE = 200  # instructions from interrupts-off until the kernel's own code is left, at most


def output_of(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise boot.BootError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def word_size(kernel: Path) -> int:
    """From the ELF file's class: 4 or 8 bytes."""
    with kernel.open("rb") as file:
        return {1: 4, 2: 8}.get(file.read(5)[-1], 0)


@dataclass(frozen=True)
class Piece:
    """One piece of the overlay, as it lies in the kernel's file."""

    name: str
    bytes: bytes
    strings: dict[int, int]  # repeated string instructions: where in it, and their lengths

    @property
    def is_copy(self) -> bool:
        return self.name in COPIES


def pieces(kernel: Path) -> list[Piece]:
    symbols, sizes = {}, {}
    for line in output_of("nm", "-S", "--defined-only", str(kernel)).splitlines():
        value, *size, kind, name = line.split()
        if kind in "TtWw" and (match := PIECE.fullmatch(name)):
            symbols[match[1]] = int(value, 16)
            sizes[match[1]] = int(size[0], 16) if size else 0
    result = []
    for name, first in symbols.items():
        end = symbols.get(f"{name}_end", first + sizes[name])
        if name.endswith("_end") or end == first:
            continue
        listing = list(instructions(kernel, "--start-address", f"{first:#x}", "--stop-address", f"{end:#x}",
                                    *COPIES.get(name, ())))
        strings = {at - first: len(code) for at, code, text in listing
                   if name in COPIES and re.match(r"rep(z|nz|e|ne)? ", text)}
        result.append(Piece(name, b"".join(code for _, code, _ in listing), strings))
    if not any(piece.is_copy for piece in result):
        raise boot.BootError(f"{kernel}: the overlay has no copy loop")
    return result


def instructions(kernel: Path, *which: str):
    """(address, bytes, text) of the instructions, as objdump reads them."""
    for line in output_of("objdump", "-d", "-w", *which, str(kernel)).splitlines():
        if found := re.match(r" *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.+)", line):
            yield int(found[1], 16), bytes.fromhex(found[2]), found[3]


@dataclass(frozen=True)
class Text:
    """The kernel's own code."""

    first: int
    size: int
    interrupts_off: tuple[int, ...]  # where its `cli` are; one of them is the point of no return

    @classmethod
    def of(cls, kernel: Path) -> "Text":
        listing = list(instructions(kernel, "-j", ".text"))
        if not listing:
            raise boot.BootError(f"{kernel}: no code")
        first, (last, code, _) = listing[0][0], listing[-1]
        return cls(first, last + len(code) - first, tuple(at for at, _, text in listing if text.strip() == "cli"))

    def __contains__(self, address: int) -> bool:
        return 0 <= address - self.first < self.size


def part_of(piece: str) -> str:
    """
    >>> part_of("arrive"), part_of("leave_flat"), part_of("leave_long")
    ('arrive', 'leave', 'leave')
    """
    return "leave" if piece.startswith("leave") else piece


class Exec:
    """Follows the overlay through one exec, from the stop at interrupts-off."""

    def __init__(self, session: debugged.Session, kernel: Path) -> None:
        self.session = session
        self.stub = session.stub
        self.text = Text.of(kernel)
        self.pieces = pieces(kernel)
        self._pages: dict[int, list[tuple[int, Piece]]] = {}

    def where(self, pc: int) -> tuple[Piece, int] | None:
        """The piece that this lies in, and the address at which that begins; None: it is not in the overlay."""
        page = pc & -PAGE
        for first, piece in self._pages.get(page) or self._look(page):
            if 0 <= pc - first < len(piece.bytes):
                return piece, first
        return None

    def _look(self, page: int) -> list[tuple[int, Piece]]:
        try:
            there = self.stub.read(page, PAGE)
        except gdbstub.StubError:
            return []
        found = [(page + at, piece) for piece in self.pieces if (at := there.find(piece.bytes)) >= 0]
        if any(piece.is_copy for _, piece in found):  # or it is some other page, which may yet become the overlay's
            self._pages[page] = found
        return found

    def to_the_line(self, timeout: float) -> int:
        """Runs to the interrupts-off from which there is no way back, and on to the overlay. Returns the machine's
        counter at that instruction; the next instruction is the overlay's first."""
        while True:
            self.stub.run_to(*self.text.interrupts_off, timeout=timeout)
            counter = self.session.instructions()
            for _ in range(AROUND_THE_LINE):
                self.stub.step()
                pc = self.stub.pc
                if pc not in self.text:
                    if self.where(pc):
                        return counter
                    break

    def count(self, result: Count, timeout: float) -> None:
        begin = self.to_the_line(timeout)
        result.add("commit", self.session.instructions() - begin)
        while found := self.where(pc := self.stub.pc):
            piece, first = found
            if piece.is_copy:
                self.copy(result, piece, first, timeout)
            else:
                self.stub.step()
                result.add(part_of(piece.name), 1)
        result.total = self.session.instructions() - begin
        result.facts["entry"] = pc

    def copy(self, result: Count, piece: Piece, first: int, timeout: float) -> None:
        """The copy loop, from its first instruction until it returns; stops only at string instructions."""
        begin = self.session.instructions()
        size = 8 if self.stub.mode() == "long" else 4
        back = int.from_bytes(self.stub.read(self.stub.general("sp"), size), "little")
        strings = {first + offset: length for offset, length in piece.strings.items()}
        iterations = 0
        with self.stub.breakpoints(back, *strings):
            while (pc := self.stub.pc) != back:
                if pc in strings:
                    left = self.stub.general("cx")
                    iterations += left
                    if left < 2:
                        for _ in range(left + 1):
                            self.stub.step()
                    else:
                        self.stub.remove_breakpoint(pc)
                        self.stub.run_to(pc + strings[pc], timeout=timeout)
                        self.stub.add_breakpoint(pc)
                    if (pc := self.stub.pc) in strings or pc == back:
                        continue
                self.stub.resume(timeout)
        result.iterations += iterations
        result.add("copy loop", self.session.instructions() - begin - iterations)
