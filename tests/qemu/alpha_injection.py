# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Exceptions at the instructions of an exec on an Alpha, from the overlay's first to the new kernel's.

Every instruction of the overlay outside the copy loop is taken in turn, and some inside the loop. An exception there (an
instruction that there is none of, or a load from where nothing is mapped) has to end in a reset within a second, with a
record in the surviving log: entry, address, stage and step. Before the guard has taken over an entry, the exception is
the running kernel's own, which says so and resets. QEMU's Clipper does not begin anew after a reset, so each case is a
machine of its own, which stays for its memory to be looked at.
"""

import random
import re
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import boot
import debugged
import gdbstub
from machine import CLIPPER, BootError

KSEG = 0xFFFFFC0000000000
PAGE = 8192
HEAD = 16  # what the code page begins with, as <lobos/alpha/departure.hpp> asserts
FRAME = struct.Struct("<15Q")  # self, context, guard, copy, leave, program, entry, argument, vptb, trail ...
TRAIL = struct.Struct("<IIQQQIIQQ")  # a breadcrumb [plan/program.hpp]

BOOT_WITHIN = 60.0  # seconds for a machine to come to its point of no return, on a busy host
RESET_WITHIN = 1.0
ON_THE_WAY = 300  # instructions outside the loop, at most
INTO_THE_LOOP = 400  # instructions, as far as the points in it lie
SEED = 2000

MEMORY, INSTRUCTION = 2, 3  # wrent's numbers
UNDEFINED = struct.pack("<I", 0x07000000)
LOAD_UNMAPPED = struct.pack("<I", 0xA41F0000)  # ldq v0, 0(zero)

CODE_PAGE = re.compile(r"lobos: picture: before (0x[0-9a-f]+) 0x[0-9a-f]+ safe: overlay code")


class Failure(Exception):
    """What went wrong at one point."""


@dataclass(frozen=True)
class Departure:
    """Where things lie, as the frame says."""

    first: int  # the overlay's first instruction
    frame: int
    copy: int
    leave: int
    entry: int
    trail: int


@dataclass(frozen=True)
class Point:
    """So many instructions behind the overlay's first, or behind the loop's, or behind its return."""

    piece: str
    steps: int
    pc: int

    def __str__(self) -> str:
        return f"{self.piece}, instruction {self.steps} at {self.pc:#x}"


def step(stub: gdbstub.Stub) -> None:
    """One instruction. A call of the PALcode is one, whatever that executes."""
    pc = stub.pc
    if stub.read(pc + 3, 1)[0] >> 2 == 0:  # call_pal's opcode
        stub.run_to(pc + 4)
    else:
        stub.step_elsewhere()


class Way:
    """One kernel's exec of another file of its own, again and again."""

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel
        self.what = boot.Exec([boot.File("/boot/again", kernel)], late=True)
        self.code = self.find_code()

    def find_code(self) -> int:
        """The page is the same in each run, and the kernel says where it is."""
        said = boot.run_exec(self.kernel, self.what, board=CLIPPER, memory=64, timeout=BOOT_WITHIN).transcript.lines
        places = [int(match[1], 16) for line in said if (match := CODE_PAGE.match(line))]
        if not places:
            raise BootError("the kernel does not say where the overlay's code lies")
        return KSEG + places[0]

    def start(self, stack) -> tuple[debugged.Session, Departure]:
        """A machine that stands before the overlay's first instruction."""
        machine = stack.enter_context(boot.exec_machine(self.kernel, self.what, board=CLIPPER, memory=64))
        machine.arguments = [*machine.arguments, "-no-shutdown"]
        session = stack.enter_context(debugged.start(machine))
        stub = session.stub
        first = self.code + HEAD
        with stub.breakpoints(first):
            stub.resume(BOOT_WITHIN)
        if stub.pc != first:
            raise BootError(f"the machine stands at {stub.pc:#x} instead of the overlay's first instruction")
        frame = int.from_bytes(stub.read(self.code + 8, 8), "little")
        fields = FRAME.unpack(stub.read(frame, FRAME.size))
        return session, Departure(first, frame, fields[3], fields[4], fields[6], fields[9])

    @staticmethod
    def walk(stub: gdbstub.Stub, end: int, limit: int) -> list[int]:
        """Instructions, one after another, up to `end`."""
        seen = []
        while (pc := stub.pc) != end:
            if len(seen) == limit:
                raise Failure(f"after {limit} instructions it stands at {pc:#x}")
            seen.append(pc)
            step(stub)
        return seen

    def points(self, in_the_loop: int, stack) -> tuple[list[Point], list[Point]]:
        """All there are outside the loop, and some in it; the exec comes through."""
        session, at = self.start(stack)
        stub = session.stub
        outside = [Point("depart", n, pc) for n, pc in enumerate(self.walk(stub, at.copy, ON_THE_WAY))]
        chosen = set(random.Random(SEED).sample(range(INTO_THE_LOOP), in_the_loop))
        inside = []
        for n in range(INTO_THE_LOOP):
            if n in chosen:
                inside.append(Point("copy", n, stub.pc))
            step(stub)
        stub.run_to(at.leave, timeout=BOOT_WITHIN)
        outside += [Point("leave", n, pc) for n, pc in enumerate(self.walk(stub, at.entry, ON_THE_WAY))]
        return outside, inside

    def inject(self, point: Point, kind: int, stack) -> str:
        """Who had it: guard or kernel."""
        session, at = self.start(stack)
        stub = session.stub
        if point.piece != "depart":
            stub.run_to(at.copy if point.piece == "copy" else at.leave, timeout=BOOT_WITHIN)
        for _ in range(point.steps):
            step(stub)
        if stub.pc != point.pc:
            raise Failure(f"{point}: the machine stands at {stub.pc:#x}")
        stub.write(point.pc, UNDEFINED if kind == INSTRUCTION else LOAD_UNMAPPED)
        session.command.events.clear()
        began = time.time()
        try:
            stub.resume(BOOT_WITHIN)
        except gdbstub.NoStop:
            stub.interrupt()
            raise Failure(f"{point}: the machine hangs at {stub.pc:#x}") from None
        session.command("query-status")  # and with the answer, what happened before
        ends = [event for event in session.command.events if event.get("event") == "SHUTDOWN"]
        if not ends or ends[0]["data"].get("reason") != "guest-reset":
            raise Failure(f"{point}: no reset, but {ends}")
        stamp = ends[0]["timestamp"]
        if (took := stamp["seconds"] + stamp["microseconds"] / 1e6 - began) > RESET_WITHIN:
            raise Failure(f"{point}: the reset takes {took:.2f} s")
        return self.check(session, at, point, kind)

    @staticmethod
    def check(session: debugged.Session, at: Departure, point: Point, kind: int) -> str:
        stage, _, steps, _, _, exception, error, place, touched = TRAIL.unpack(session.stub.read(at.trail, TRAIL.size))
        if exception == 0:
            if point.piece != "depart":
                raise Failure(f"{point}: nobody left a record")
            name = "instruction fault" if kind == INSTRUCTION else "memory management fault"
            session.wait_for_line(f"stopped: {name} at ".encode())
            return "kernel"
        # Of an instruction that there is none of the PALcode names the next one, and why it is none: 4.
        wanted = (kind + 1, 4, point.pc + 4, 4) if kind == INSTRUCTION else (kind + 1, 0, point.pc, 0)
        if (exception, error, place, touched) != wanted:
            raise Failure(f"{point}: recorded as {exception, error, hex(place), hex(touched)}")
        names = {"depart": (1,), "copy": (1, 2), "leave": (3,)}[point.piece]  # prepared, copying, copied
        if stage not in names or (stage == 3) != (steps != 0 and point.piece == "leave"):
            raise Failure(f"{point}: recorded in stage {stage}, step {steps}")
        return "guard"
