# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""What a debugger wants of a kernel's ELF file to follow a kernel exec: where interrupts go off, and the overlay.

The overlay is found again wherever it was copied to: by its bytes, and at the same place in a page. Works for any
reference kernel, 32-bit or 64-bit; what this takes of it are the names of the section and of the copy loop.
"""

import bisect
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import boot
import debugged
import gdbstub
from counted import Count

SECTION = "lobos_overlay"
COPY = re.compile(r"^lobos_\w*copy$")
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


def section(kernel: Path, name: str) -> tuple[int, bytes]:
    """Its address and its bytes."""
    lines = output_of("objdump", "-s", "-j", name, str(kernel)).splitlines()
    rows = [re.match(r" ([0-9a-f]+) ((?:[0-9a-f]{2,8} ){1,4})", line) for line in lines]
    rows = [row for row in rows if row]
    if not rows:
        raise boot.BootError(f"{kernel}: no section {name}")
    return int(rows[0][1], 16), b"".join(bytes.fromhex(row[2]) for row in rows)


@dataclass(frozen=True)
class Code:
    """The overlay as it lies in the kernel's file; everything below is an offset in it."""

    bytes: bytes
    starts: tuple[int, ...]  # of the functions, ascending
    names: tuple[str, ...]
    strings: dict[int, int]  # repeated string instructions, and their lengths

    @classmethod
    def of(cls, kernel: Path) -> "Code":
        address, data = section(kernel, SECTION)
        symbols = [line.split() for line in output_of("nm", "-n", "--defined-only", str(kernel)).splitlines()]
        functions = {int(value, 16) - address: name for value, kind, name in symbols
                     if kind in "TtWw" and address <= int(value, 16) < address + len(data)
                     and not name.startswith("__st")}
        starts = tuple(sorted(functions))
        strings = {}
        for at, text, _ in instructions(kernel, SECTION):
            if re.match(r"rep(z|nz|e|ne)? ", text[1]):
                strings[at - address] = text[0]
        return cls(data, starts, tuple(functions[start] for start in starts), strings)

    def name_at(self, offset: int) -> str:
        """The function that an instruction belongs to."""
        return self.names[max(bisect.bisect_right(self.starts, offset) - 1, 0)]

    @property
    def copy(self) -> str:
        names = [name for name in self.names if COPY.match(name)]
        if len(names) != 1:
            raise boot.BootError(f"{len(names)} functions of the overlay look like the copy loop")
        return names[0]

    def start_of(self, name: str) -> int:
        return self.starts[self.names.index(name)]


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
            raise boot.BootError(f"{kernel}: no code")
        first, (at, (length, _), _) = listing[0][0], listing[-1]
        return cls(first, at + length - first, tuple(at for at, (_, text), _ in listing if text.strip() == "cli"))

    def __contains__(self, address: int) -> bool:
        return 0 <= address - self.first < self.size


def part_of(function: str) -> str:
    """
    >>> part_of("lobos_x86_arrive"), part_of("lobos_x86_leave_unpaged"), part_of("lobos_x86_64_leave_paged")
    ('arrive', 'leave', 'leave')
    """
    name = re.sub(r"^lobos_x86_(64_)?", "", function)
    return "leave" if name.startswith("leave") else name


class Exec:
    """Follows the overlay through one exec, from the stop at interrupts-off."""

    def __init__(self, session: debugged.Session, kernel: Path) -> None:
        self.session = session
        self.stub = session.stub
        self.text = Text.of(kernel)
        self.code = Code.of(kernel)
        self.bases: list[int] = []

    def offset(self, pc: int) -> int | None:
        """Where in the overlay this is, in whichever mapping; None: it is not there."""
        for base in self.bases:
            if 0 <= pc - base < len(self.code.bytes):
                return pc - base
        for start in self.code.starts:  # not in a mapping that is known: a new one is entered at a function
            base = pc - start
            if self.bases and (base - self.bases[0]) % PAGE:
                continue
            try:
                there = self.stub.read(base, len(self.code.bytes))
            except gdbstub.StubError:
                continue
            if there == self.code.bytes:
                self.bases.append(base)
                return start
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
                    if self.offset(pc) is not None:
                        return counter
                    break

    def count(self, result: Count, timeout: float) -> None:
        begin = self.to_the_line(timeout)
        result.add("commit", self.session.instructions() - begin)
        while (offset := self.offset(pc := self.stub.pc)) is not None:
            name = self.code.name_at(offset)
            if name == self.code.copy:
                self.copy(result, pc - offset, timeout)
                continue
            self.stub.step()
            if self.stub.pc == pc and offset in self.code.strings:
                result.iterations += 1
            else:
                result.add(part_of(name), 1)
        result.total = self.session.instructions() - begin
        result.facts["entry"] = pc

    def copy(self, result: Count, base: int, timeout: float) -> None:
        """The copy loop, from its first instruction until it returns; stops only at string instructions."""
        begin = self.session.instructions()
        size = 8 if self.stub.mode() == "long" else 4
        back = int.from_bytes(self.stub.read(self.stub.general("sp"), size), "little")
        strings = {base + offset: length for offset, length in self.code.strings.items()
                   if self.code.name_at(offset) == self.code.copy}
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
