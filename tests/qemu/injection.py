#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Exceptions and NMIs at the instructions of an exec, from the point of no return to the new kernel's first.

    injection.py KERNEL IMAGE [--copy paged|unpaged] [--entry WAY] [--paging MODE] [--points N] [--cpu MODEL] [--every N]

Every instruction of the overlay outside the copy loop is taken in turn, and N points inside the loop are drawn. An
exception there (an undefined instruction or, with paging on, a load from where nothing is mapped) has to end in a
reset within a second, and the next boot has to print a record with its vector and its address: the machine is QEMU's
without -no-reboot, whose memory outlives a reset, and every reset begins the next case. An NMI must return to where it
came, and at the end of all of them the exec comes through. A machine that does neither in time has hung: a failure.

Prints a line for each route, and exits with 1 if anything failed.
"""

import argparse
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

PAGE = 4096
RESET_WITHIN = 1.0  # seconds
BOOT_WITHIN = 60.0  # seconds for a machine to come to its point of no return, on a busy host
AROUND_THE_LINE = 200  # instructions from interrupts-off to the overlay, at most
ON_THE_WAY = 400  # instructions of the overlay outside the loop, at most
IN_THE_LOOP = 150  # of its instructions that are looked at to know where they begin
SEED = 2000

UNDEFINED = bytes.fromhex("0f0b")
UNMAPPED = 0xF0000000
LOAD_UNMAPPED = b"\xa1" + UNMAPPED.to_bytes(8, "little")  # mov eax, [0xf0000000], in 32-bit and in 64-bit code
RECORD = re.compile(
    rb"lobos: guard: exec of generation (\d+) ended by exception (\d+) \([^)]*\), error 0x[0-9a-f]+, at (0x[0-9a-f]+)"
    rb"(?:, address (0x[0-9a-f]+))?, stage (\w+), step (\d+)\r")
ANY_RECORD = b"lobos: guard: "
LAST_WORDS = boot.POINT_OF_NO_RETURN + b"\r\n"


class Failure(Exception):
    """What went wrong at one point."""


@dataclass(frozen=True)
class Exec(boot.Exec):
    """With the mode of paging that the image is entered in, where that is not the kernel's own."""

    paging: str = ""

    def command_line(self) -> str:
        return (f"paging={self.paging} " if self.paging else "") + super().command_line()


class Rebooting(boot.Machine):
    """One that a reset starts anew."""

    def command(self, monitor: int) -> list[str]:
        return [word for word in super().command(monitor) if word != "-no-reboot"]


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
        address, data = overlay_code.section(kernel, overlay_code.SECTION)
        symbols = {}
        for line in overlay_code.output_of("nm", "--defined-only", str(kernel)).splitlines():
            value, _, name = line.split()[:3]
            symbols[name] = int(value, 16)
        ends = {name.removeprefix("lobos_x86_"): (at, symbols[name + "_end"]) for name, at in symbols.items()
                if name + "_end" in symbols and name.startswith("lobos_x86_")}
        ends["copy"] = symbols["__start_lobos_overlay_copy"], symbols["__stop_lobos_overlay_copy"]
        self.places: list[tuple[int, int, str]] = []
        for name, (begin, end) in ends.items():
            at = page.find(data[begin - address:end - address])
            if at >= 0 and end > begin:
                self.places.append((at, at + end - begin, name))

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
        self.pieces = Pieces(kernel, page)
        if self.pieces.at(self.depart) != "depart":
            raise boot.BootError(f"the overlay does not begin with its first piece: {self.pieces.places}")

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
        raise boot.BootError("no point of no return is reached")

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
        self.stub.step(interrupts=True)
        if self.stub.pc == point.pc:
            raise Failure(f"{point}: no NMI arrives")
        handler = self.stub.pc
        self.stub.step()
        if self.stub.pc != point.pc:
            raise Failure(f"{point}: the NMI's handler at {handler:#x} returns to {self.stub.pc:#x}")
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
            raise Failure(f"{point}: the machine hangs") from None
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


def machine_arguments(kernel: Path, cpu: str) -> list[str]:
    return ["-cpu", cpu or ("max" if overlay_code.word_size(kernel) == 8 else "qemu64")]


def run_route(kernel: Path, what: boot.Exec, cpu: str, points: int, every: int) -> list[str]:
    """What failed, in words."""
    failures: list[str] = []
    chance = random.Random(SEED)
    with boot.exec_machine(kernel, what) as plain:
        arguments = [*machine_arguments(kernel, cpu), *plain.arguments]
        once = dataclasses.replace(plain, arguments=arguments)
        with debugged.start(once) as session:  # NMIs first: one exec takes all of them
            route = Route(session, kernel)
            try:
                outside, inside = route.walk(True, points)
                session.stub.resume_unattended()
                end = session.ended(BOOT_WITHIN)
                if session.transcript.output.count(b"lobos: reference kernel, generation") != 2 \
                        or end is not boot.End.STOPPED:
                    failures.append(f"after {len(outside) + len(inside)} NMIs the exec does not come through: {end}")
            except (Failure, gdbstub.StubError) as failure:
                failures.append(f"NMI: {failure}")
                return failures
        again = Rebooting(arguments, memory=plain.memory, execs=plain.execs)
        with debugged.start(again) as session:
            route = Route(session, kernel)
            cases = outside[::every] + [
                dataclasses.replace(chance.choice(inside), visits=chance.randrange(1, 8)) for _ in range(points)]
            reached = 0
            for number, point in enumerate(cases):
                try:
                    route.to_the_line()
                    if not route.reach(point, outside[-1]):  # all begins anew
                        session.human("system_reset")
                        continue
                    reached += 1
                    route.inject(point, page_fault=number % 2 == 1)
                except (Failure, gdbstub.StubError) as failure:
                    failures.append(str(failure))
                    if isinstance(failure, gdbstub.Gone) or len(failures) > 3:
                        break
                    session.human("system_reset")
    name = f"{kernel.stem} to {what.images[0].path.stem}, {what.entry}, copy {what.copy}"
    pieces = sorted({point.piece for point in outside})
    print(f"{'FAIL' if failures else 'PASS'} {name}: {len(outside) + len(inside)} NMIs, {reached} exceptions, in "
          f"{', '.join(pieces)} and the loop", flush=True)
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests/qemu/injection.py", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("kernel", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--copy", choices=("paged", "unpaged"), default="paged")
    parser.add_argument("--entry", default="auto")
    parser.add_argument("--paging", default="", help="the mode that the image is entered in")
    parser.add_argument("--points", type=int, default=20, help="inside the copy loop")
    parser.add_argument("--every", type=int, default=1, help="take each Nth of the instructions outside it")
    parser.add_argument("--cpu", default="")
    args = parser.parse_args(arguments)
    what = Exec([boot.File("/boot/target", args.image)], copy=args.copy, entry=args.entry, late=True,
                paging=args.paging)
    try:
        failures = run_route(args.kernel, what, args.cpu, args.points, args.every)
    except boot.BootError as error:
        print(f"injection: {error}", file=sys.stderr)
        return 2
    for failure in failures:
        print(f"  {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
