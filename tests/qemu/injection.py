#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Exceptions and NMIs at the instructions of an exec, from the point of no return to the new kernel's first.

    injection.py [--full] [--filter REGEX]    also run by tests/qemu/run

Every instruction of the overlay outside the copy loop is taken in turn, and N points inside the loop are drawn. An
exception there (an undefined instruction or, with paging on, a load from where nothing is mapped) has to end in a
reset within a second, and the next boot has to print a record with its vector and its address: the machine is QEMU's
without -no-reboot, whose memory outlives a reset, and every reset begins the next case. An NMI must return to where it
came, and at the end of all of them the exec comes through. A machine that does neither in time has hung: a failure.

The machines differ in how they can be reset: by the firmware's reset register, the chipset's, the keyboard controller,
or by nothing but a triple fault. Prints a line for each route, and exits with 1 if anything failed.
"""

import argparse
import contextlib
import dataclasses
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import boot  # noqa: E402
import debugged  # noqa: E402
import gdbstub  # noqa: E402
import overlay_code  # noqa: E402
from machine import POINT_OF_NO_RETURN, BootError, End, Machine  # noqa: E402

PAGE = 4096
RESET_WITHIN = 1.0  # seconds
BOOT_WITHIN = 60.0  # seconds for a machine to come to its point of no return, on a busy host
AROUND_THE_LINE = 200  # instructions from interrupts-off to the overlay, at most
ON_THE_WAY = 400  # instructions of the overlay outside the loop, at most
IN_THE_LOOP = 150  # of its instructions that are looked at to know where they begin
SEED = 2000

RESET_PORT_AT = 312 - 128  # behind the frame's middle, as <lobos/x86/departure.hpp> asserts
RESET_PORTS = {"q35": 0xCF9, "isapc": 0, "isapc,i8042=off": 0}  # what their firmware says, 0: nothing

UNDEFINED = bytes.fromhex("0f0b")
UNMAPPED = 0xF0000000
LOAD_UNMAPPED = b"\xa1" + UNMAPPED.to_bytes(8, "little")  # mov eax, [0xf0000000], in 32-bit and in 64-bit code
RECORD = re.compile(
    rb"lobos: guard: exec of generation (\d+) ended by exception (\d+) \([^)]*\), error 0x[0-9a-f]+, at (0x[0-9a-f]+)"
    rb"(?:, address (0x[0-9a-f]+))?, stage (\w+), step (\d+)\r")
ANY_RECORD = b"lobos: guard: "
LAST_WORDS = POINT_OF_NO_RETURN + b"\r\n"


class Failure(Exception):
    """What went wrong at one point."""


@dataclass(frozen=True)
class Way:
    """From one reference kernel into another."""

    kernel: str  # by its mode of paging
    image: str  # by its own
    entry: str  # multiboot, or paged
    copy: str
    machine: str = "pc"
    every: int = 1  # so many instructions outside the loop make one case
    points: int = 20  # in the loop

    @property
    def name(self) -> str:
        return f"{self.kernel}-{self.image}-{self.entry}-{self.copy}" + (
            "" if self.machine == "pc" else "-" + re.sub(r"\W+", "-", self.machine))


def ways(full: bool) -> list[Way]:
    """Together they go through every piece of the overlay, from 32-bit and from 64-bit kernels; in full, through
    everything in every combination, with 1,000 points in the loop of one of each width."""
    resets = [Way("4m", "4m", "multiboot", "unpaged", machine, 12, 1)
              for machine in ("q35", "isapc", "isapc,i8042=off")]
    if not full:
        return [Way("4m", "4level", "paged", "paged"), Way("5level", "4m", "multiboot", "unpaged"),
                Way("5level", "5level", "paged", "paged", every=4), *resets]
    modes = boot.PAGINGS
    many = {("4m", "4m", "multiboot", "paged"), ("5level", "4m", "multiboot", "unpaged")}
    return [*resets, *(Way(kernel, image, entry, copy, points=1000 if (kernel, image, entry, copy) in many else 20)
                       for kernel in modes for image in modes for entry in ("multiboot", "paged")
                       for copy in ("paged", "unpaged") if entry == "paged" or image == "4m")]


@dataclass
class Chosen(Machine):
    """One of QEMU's other machines, perhaps one that a reset starts anew."""

    machine: str = "pc"
    reboots: bool = False

    def command(self, monitor: int) -> list[str]:
        words = super().command(monitor)
        words[words.index("-machine") + 1] = self.machine
        return [word for word in words if word != "-no-reboot" or not self.reboots]


@dataclass(frozen=True)
class Point:
    """An instruction on the way, and how often it is to be reached first."""

    pc: int
    piece: str
    paged: bool
    visits: int = 1

    def __str__(self) -> str:
        return f"{self.piece} at {self.pc:#x}" + (f", visit {self.visits}" if self.visits > 1 else "")


class Pieces:
    """Where in the code page each piece of the overlay lies, by its bytes."""

    def __init__(self, kernel: Path, page: bytes) -> None:
        self.places: list[tuple[int, int, str]] = []
        for piece in overlay_code.pieces_of(kernel):
            if (at := page.find(piece.bytes)) >= 0:
                self.places.append((at, at + len(piece.bytes), piece.name))

    def at(self, pc: int) -> str | None:
        offset = pc % PAGE
        return next((name for begin, end, name in self.places if begin <= offset < end), None)


class Route:
    """One kernel's way into one image, again and again in one machine."""

    def __init__(self, session: debugged.Session, kernel: Path) -> None:
        self.session = session
        self.stub = session.stub
        self.kernel = kernel
        self.text = overlay_code.Text.of(kernel)
        self.seen = 0  # of the serial line
        self.depart = self.find_depart()
        self.alias = self.depart - self.depart % PAGE
        page = self.stub.read(self.alias, PAGE)
        self.code = int.from_bytes(page[:8], "little")  # its physical address, which it begins with
        frame = int.from_bytes(page[8:16], "little")
        self.reset_port = int.from_bytes(self.stub.read(frame + RESET_PORT_AT, 8, physical=True), "little")
        self.pieces = Pieces(kernel, page)
        if self.pieces.at(self.depart) != "depart":
            raise BootError(f"the overlay does not begin with its first piece: {self.pieces.places}")

    def find_depart(self) -> int:
        """The overlay's first instruction: not far behind an interrupts-off, and the first that is not the kernel's."""
        deadline = time.monotonic() + BOOT_WITHIN
        while time.monotonic() < deadline:
            self.stub.step()
            self.stub.run_to(*self.text.interrupts_off, timeout=BOOT_WITHIN)
            for _ in range(AROUND_THE_LINE):
                self.stub.step()
                pc = self.stub.pc
                if pc not in self.text:
                    if pc % PAGE == 32 and self.stub.read(pc, 3)[:2] == b"\xf3\x0f":  # endbr, behind the page's head
                        return pc
                    break
        raise BootError("no point of no return is reached")

    def inside(self, pc: int) -> bool:
        return pc - pc % PAGE in (self.alias, self.code)

    def is_paged(self) -> bool:
        return self.stub.mode() in ("paged", "long")

    def walk(self, nmi: bool, in_the_loop: int) -> tuple[list[Point], list[Point]]:
        """From the overlay's first instruction to the new kernel's: the points outside the loop, and those inside it
        where instructions begin. With `nmi`, one is taken at each of them."""
        outside: list[Point] = []
        inside: list[Point] = []
        while self.inside(pc := self.stub.pc):
            point = Point(pc, self.pieces.at(pc) or "?", self.is_paged())
            if len(outside) > ON_THE_WAY:
                raise Failure(f"the way does not end: {point}")
            if point.piece.startswith("copy"):
                inside = self.walk_the_loop(point, nmi, in_the_loop)
                continue
            outside.append(point)
            if nmi:
                self.take_nmi(point)
            self.stub.step()
        return outside, inside

    def walk_the_loop(self, entered: Point, nmi: bool, wanted: int) -> list[Point]:
        """Leaves it by its return. The points are where instructions begin, as far as they are executed early."""
        size = 8 if self.stub.mode() == "long" else 4
        back = int.from_bytes(self.stub.read(self.stub.general("sp"), size), "little")
        found: dict[int, Point] = {}
        while wanted and len(found) < IN_THE_LOOP and (pc := self.stub.pc) != back:
            again = pc in found
            found[pc] = Point(pc, entered.piece, entered.paged)
            if nmi and not again:
                self.take_nmi(found[pc])
            code = self.stub.read(pc, 3)
            if code[0] in (0xF2, 0xF3):  # as a whole
                length = 3 if code[1] & 0xF0 == 0x40 and size == 8 else 2
                self.stub.run_to(pc + length, back)
            else:
                self.stub.step()
            if again and len(found) > 40:
                wanted -= 1
        if self.stub.pc != back:
            self.stub.run_to(back, timeout=BOOT_WITHIN)
        return list(found.values())

    def take_nmi(self, point: Point) -> None:
        """The handler's only instruction returns to where it was."""
        registers = self.stub.registers()
        self.session.command("inject-nmi")
        handler = self.stub.step_elsewhere(interrupts=True)
        if handler == point.pc:
            raise Failure(f"{point}: no NMI arrives")
        if (back := self.stub.step_elsewhere()) != point.pc:
            raise Failure(f"{point}: the NMI's handler at {handler:#x} returns to {back:#x}")
        after = self.stub.registers()
        names = [name for name in registers if registers[name] != after.get(name)]
        if names:
            raise Failure(f"{point}: an NMI changes {', '.join(names)}")

    def to_the_line(self) -> None:
        if self.stub.pc != self.depart:
            self.stub.run_to(self.depart, timeout=BOOT_WITHIN)

    def reach(self, point: Point, last: Point) -> bool:
        """From the overlay's first instruction; false if the way comes to its last before the point is reached that
        often."""
        for visit in range(point.visits):
            if self.stub.pc == point.pc:
                if visit == 0:
                    continue
                self.stub.step()  # a breakpoint where the machine stands would hold it there
                if self.stub.pc == point.pc:
                    continue
            if self.stub.run_to(*{point.pc, last.pc}, timeout=BOOT_WITHIN) != point.pc:
                return False
        return True

    def listen(self) -> None:
        """What comes from now on is new: the kernel's last words have all arrived."""
        deadline = time.monotonic() + 5
        while not self.session.transcript.output.endswith(LAST_WORDS):
            if time.monotonic() > deadline:
                raise Failure("the kernel's last words do not arrive")
            time.sleep(0.002)
        self.seen = len(self.session.transcript.output)

    def inject(self, point: Point, page_fault: bool) -> None:
        """The machine stands at the line, and does again afterwards."""
        fault = page_fault and point.paged
        physical = self.code + point.pc % PAGE
        self.listen()
        self.stub.write(physical, LOAD_UNMAPPED if fault else UNDEFINED, physical=True)
        self.session.command.events.clear()
        began = time.time()
        self.stub.add_breakpoint(self.depart)
        try:
            if point.pc == self.depart:  # the exception comes before the breakpoint does
                self.stub.remove_breakpoint(self.depart)
                self.stub.step()
                self.stub.add_breakpoint(self.depart)
            self.stub.resume(BOOT_WITHIN)
        except gdbstub.NoStop:
            self.stub.interrupt()
            raise Failure(f"{point}: the machine hangs at {self.stub.pc:#x}") from None
        finally:
            self.stub.remove_breakpoint(self.depart)
        if self.stub.pc != self.depart:
            raise Failure(f"{point}: the machine stands at {self.stub.pc:#x}")
        self.session.command("query-status")  # and with the answer, what happened before
        resets = [event for event in self.session.command.events if event.get("event") == "RESET"]
        if not resets:
            raise Failure(f"{point}: no reset")
        stamp = resets[0]["timestamp"]
        took = stamp["seconds"] + stamp["microseconds"] / 1e6 - began
        if took > RESET_WITHIN:
            raise Failure(f"{point}: the reset takes {took:.2f} s")
        self.check_record(point, fault)

    def check_record(self, point: Point, fault: bool) -> None:
        deadline = time.monotonic() + 5
        while (begin := self.session.transcript.output.find(ANY_RECORD, self.seen)) < 0 \
                or self.session.transcript.output.find(b"\n", begin) < 0:
            if time.monotonic() > deadline:
                raise Failure(f"{point}: the next boot prints no record")
            time.sleep(0.005)
        end = self.session.transcript.output.find(b"\n", begin)
        line = bytes(self.session.transcript.output[begin:end])
        found = RECORD.match(line)
        wanted = (14, point.pc, UNMAPPED) if fault else (6, point.pc, None)
        said = found and (int(found[2]), int(found[3], 16), int(found[4], 16) if found[4] else None)
        if said != wanted:
            raise Failure(f"{point}: vector, place and address {wanted} became {line.decode(errors='replace').strip()!r}")
        stage = found[5].decode()
        if point.piece.startswith("copy") and point.visits > 1 and stage != "copying":
            raise Failure(f"{point}: an exception in the loop is recorded as {stage}")


@dataclass(frozen=True)
class Outcome:
    """What one way came to."""

    way: Way
    nmis: int
    exceptions: int
    pieces: tuple[str, ...]
    failures: tuple[str, ...]

    def __str__(self) -> str:
        return (f"{'FAIL' if self.failures else 'PASS'} injection-{self.way.name}: {self.nmis} NMIs and "
                f"{self.exceptions} exceptions in {', '.join(self.pieces)}")


def take_nmis(machine: Chosen, kernel: Path, points: int) -> tuple[list[Point], list[Point]]:
    """One exec takes all of them, and comes through."""
    with debugged.start(machine) as session:
        route = Route(session, kernel)
        if (port := RESET_PORTS.get(machine.machine, route.reset_port)) != route.reset_port:
            raise Failure(f"the guard's reset register is port {route.reset_port:#x}, and the machine's is {port:#x}")
        outside, inside = route.walk(True, points)
        session.stub.resume_unattended()
        end = session.ended(BOOT_WITHIN)
        spoken = session.transcript.output.count(b"lobos: reference kernel, generation")
        if spoken != 2 or end is not End.STOPPED:
            raise Failure(f"after NMIs at {len(outside) + len(inside)} points the exec does not come through: {end.value}")
        return outside, inside


def take_exceptions(machine: Chosen, kernel: Path, cases: Sequence[Point], last: Point) -> tuple[int, list[str]]:
    """One after another; how many were reached, and what failed."""
    failures: list[str] = []
    reached = 0
    with debugged.start(machine) as session:
        route = Route(session, kernel)
        for number, point in enumerate(cases):
            try:
                route.to_the_line()
                if route.reach(point, last):
                    reached += 1
                    route.inject(point, page_fault=number % 2 == 1)
                    continue
            except gdbstub.Gone as gone:
                return reached, [*failures, f"{point}: {gone}"]
            except (Failure, gdbstub.StubError) as failure:
                failures.append(f"{point}: {failure}" if isinstance(failure, gdbstub.StubError) else str(failure))
                if len(failures) > 3:
                    break
                with contextlib.suppress(gdbstub.StubError):
                    session.stub.interrupt()  # it runs when it hangs, otherwise it stands
            session.human("system_reset")
    return reached, failures


def inject(way: Way, kernels: dict[str, Path]) -> Outcome:
    kernel = kernels[way.kernel]
    same = way.kernel == way.image and way.copy == "paged"
    what = boot.Exec([boot.File("/boot/target", kernels[way.image])], copy=way.copy, entry=way.entry, late=True,
                     target_paging="" if way.entry != "paged" or same else way.image)
    chance = random.Random(SEED)
    outside: list[Point] = []
    inside: list[Point] = []
    reached, failures = 0, []
    with boot.exec_machine(kernel, what, cpu="max") as plain:
        machine = Chosen(plain.arguments, memory=plain.memory, cpu=plain.cpu, execs=plain.execs, machine=way.machine)
        try:
            outside, inside = take_nmis(machine, kernel, way.points)
            drawn = [dataclasses.replace(chance.choice(inside), visits=chance.randrange(1, 8))
                     for _ in range(way.points)]
            reached, failures = take_exceptions(dataclasses.replace(machine, reboots=True), kernel,
                                                outside[::way.every] + drawn, outside[-1])
        except (Failure, gdbstub.StubError) as failure:
            failures = [str(failure)]
    pieces = tuple(sorted({point.piece for point in (*outside, *inside)}))
    return Outcome(way, len(outside) + len(inside), reached, pieces, tuple(failures))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/qemu/injection.py", allow_abbrev=False,
                                     description="Exceptions and NMIs at the instructions of an exec.")
    parser.add_argument("--full", action="store_true", help="every way, and 1,000 points in the copy loop")
    parser.add_argument("--filter", metavar="REGEX", default="", help="only ways whose name matches")
    parser.add_argument("--kernel", action="append", default=[], metavar="MODE=ELF", help="take these, build nothing")
    args = parser.parse_args()
    chosen = [way for way in ways(args.full) if re.search(args.filter, way.name)]
    status = 0 if chosen else 1
    try:
        kernels = {mode: Path(file) for mode, _, file in (word.partition("=") for word in args.kernel)} \
            or boot.build_kernels(*sorted({mode for way in chosen for mode in (way.kernel, way.image)}))
        for way in chosen:
            outcome = inject(way, kernels)
            print("\n  ".join([str(outcome), *outcome.failures]), flush=True)
            status = 1 if outcome.failures else status
    except BootError as error:
        print(f"injection: {error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
