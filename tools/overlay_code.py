# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""What a debugger wants of a kernel's ELF file to follow a kernel exec: where interrupts go off, and the overlay.

The overlay is found again wherever its pieces were copied to: each is entered at its first instruction, and known by
its bytes. Works for any reference kernel, 32-bit or 64-bit; what this takes of it are the names of the pieces.

What counts as the copy itself is the moving of a step's bytes by string instructions, as <lobos/machine/copy.hpp> writes
it: six instructions with two string instructions among them, words and then the bytes that are left. All else in the
loop is around it: fetching the step, its kind and its direction, the trail, and the way from step to step.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import debugged
import gdbstub
from counted import Count
from machine import BootError

PIECE = re.compile(r"^lobos_x86_(\w+?)(_end)?$")
COPIES = ("copy", "copy_32")
NATIVE = ("depart", "arrive", "down", "copy")  # in the kernel's own mode
LONG = ("leave_long", "switch_long")  # in 64-bit mode always
INSTRUCTIONS_A_STRING = 3  # of those that move a step, for each string instruction
AROUND_THE_LINE = 200  # instructions from interrupts-off until the kernel's own code is left, at most


def output_of(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BootError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def word_size(kernel: Path) -> int:
    """From the ELF file's class: 4 or 8 bytes."""
    with kernel.open("rb") as file:
        return {1: 4, 2: 8}.get(file.read(5)[-1], 0)


@dataclass(frozen=True)
class Piece:
    """A piece of the overlay as it lies in the kernel's file."""

    name: str
    bytes: bytes
    strings: dict[int, int]  # repeated string instructions, and their lengths, by their offsets


def pieces_of(kernel: Path) -> list[Piece]:
    """Those that the kernel has, the longest first: none begins like a longer one."""
    place, size = {}, {}
    for line in output_of("readelf", "--wide", "--symbols", str(kernel)).splitlines():
        fields = line.split()
        if len(fields) != 8 or not (found := PIECE.match(fields[7])):
            continue
        place[found[1] + (found[2] or "")] = int(fields[1], 16)
        size[found[1]] = int(fields[2], 0)
    pieces = []
    for name, at in place.items():
        length = place[name + "_end"] - at if name + "_end" in place else size.get(name, 0)
        if length == 0 or name.startswith("guard") or name.endswith("_end"):
            continue
        long = name in LONG or (name in NATIVE and word_size(kernel) == 8)
        code = output_of("objdump", "-d", "-w", "-M", "x86-64" if long else "i386", f"--start-address={at}",
                         f"--stop-address={at + length}", str(kernel))
        data, strings = b"", {}
        for line in code.splitlines():
            if found := re.match(r" *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t?(.*)", line):
                if re.match(r"rep(z|nz|e|ne)? ", found[3]):
                    strings[len(data)] = len(found[2].split())
                data += bytes.fromhex(found[2])
        pieces.append(Piece(name, data, strings))
    if not any(piece.name in COPIES for piece in pieces):
        raise BootError(f"{kernel}: no copy loop")
    return sorted(pieces, key=lambda piece: -len(piece.bytes))


def instructions(kernel: Path, of: str):
    """(address, (length, text), function) of a section's instructions, as objdump reads them."""
    lines = output_of("objdump", "-d", "-w", "-j", of, str(kernel)).splitlines()
    function = ""
    for line in lines:
        if name := re.match(r"[0-9a-f]+ <(.+)>:", line):
            function = name[1]
        elif found := re.match(r" *([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\t(.+)", line):
            yield int(found[1], 16), (len(found[2].split()), found[3]), function


@dataclass(frozen=True)
class Text:
    """The kernel's own code."""

    first: int
    size: int
    interrupts_off: tuple[int, ...]  # where its `cli` are; one of them is the point of no return

    @classmethod
    def of(cls, kernel: Path) -> "Text":
        listing = list(instructions(kernel, ".text"))
        if not listing:
            raise BootError(f"{kernel}: no code")
        first, (at, (length, _), _) = listing[0][0], listing[-1]
        return cls(first, at + length - first, tuple(at for at, (_, text), _ in listing if text.strip() == "cli"))

    def __contains__(self, address: int) -> bool:
        return 0 <= address - self.first < self.size


def part_of(name: str) -> str:
    """
    >>> part_of("arrive"), part_of("leave_flat"), part_of("switch_long")
    ('arrive', 'leave', 'switch_long')
    """
    return "leave" if name.startswith("leave") else name


class Exec:
    """Follows the overlay through one exec, from the stop at interrupts-off."""

    def __init__(self, session: debugged.Session, kernel: Path) -> None:
        self.session = session
        self.stub = session.stub
        self.text = Text.of(kernel)
        self.pieces = pieces_of(kernel)
        self.places: list[tuple[int, Piece]] = []

    def at(self, pc: int) -> tuple[int, Piece] | None:
        """The piece that this is in, in whichever mapping, and where that begins; None: it is in none."""
        for base, piece in self.places:
            if 0 <= pc - base < len(piece.bytes):
                return base, piece
        for piece in self.pieces:  # nor in one that is known: a new one is entered at its beginning
            try:
                there = self.stub.read(pc, len(piece.bytes))
            except gdbstub.StubError:
                continue
            if there == piece.bytes:
                self.places.append((pc, piece))
                return pc, piece
        return None

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
                    if self.at(pc) is not None:
                        return counter
                    break

    def count(self, result: Count, timeout: float) -> None:
        begin = self.to_the_line(timeout)
        result.add("commit", self.session.instructions() - begin)
        while (found := self.at(pc := self.stub.pc)) is not None:
            base, piece = found
            if piece.name in COPIES:
                self.copy(result, base, piece, timeout)
                continue
            self.stub.step()
            if self.stub.pc == pc and pc - base in piece.strings:
                result.iterations += 1
            else:
                result.add(part_of(piece.name), 1)
        result.total = self.session.instructions() - begin
        result.facts["entry"] = pc

    def copy(self, result: Count, base: int, piece: Piece, timeout: float) -> None:
        """The copy loop, from its first instruction until it returns; stops only at string instructions."""
        begin = self.session.instructions()
        size = 8 if self.stub.mode() == "long" and piece.name == "copy" else 4
        back = int.from_bytes(self.stub.read(self.stub.general("sp"), size), "little")
        strings = {base + offset: length for offset, length in piece.strings.items()}
        iterations = moves = 0
        with self.stub.breakpoints(back, *strings):
            while (pc := self.stub.pc) != back:
                if pc in strings:
                    moves += 1
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
        around = self.session.instructions() - begin - iterations
        result.add("copy loop", around - moves * INSTRUCTIONS_A_STRING)
        result.add("the copy", moves * INSTRUCTIONS_A_STRING)
