# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""One QEMU machine from start to end, and what its serial line says.

QEMU's monitor protocol tells a power-off from a reset; the serial line is read as it comes; what the reference kernel
says is told from what its target says by counting points of no return.
"""

import contextlib
import enum
import fcntl
import json
import os
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

DEBUG_EXIT_STATUS = 3  # the reference kernel writes 1 to isa-debug-exit, and QEMU leaves with 2 * 1 + 1
# Only the first has BIOS services; the last starts what a disk has, and comes with it: see loaders.py.
FIRMWARES = {"seabios": (), "qboot": ("-bios", "qboot.rom"), "efi": ()}
PANIC = b"Kernel panic - not syncing"
PIPE_SIZE = 1 << 20  # what any user may ask for
PANIC_GRACE = 1.0  # seconds for a panicking target to finish speaking

LOBOS = b"lobos: "
POINT_OF_NO_RETURN = LOBOS + b"point of no return"
FAULT = LOBOS + b"fault: "


class BootError(Exception):
    """What keeps a machine from being started, in words."""


class End(enum.Enum):
    """How a machine came to its end."""

    EXPECTED = "the target printed what was expected"
    POWERED_OFF = "the machine powered off"
    RESET = "the machine was reset"
    STOPPED = "the reference kernel stopped"
    PANICKED = "the target panicked"
    TIMEOUT = "timeout"
    DIED = "QEMU died"


@dataclass
class Transcript:
    """The serial output, and what of it the target said.

    The target speaks after the last of `execs` points of no return; 0 means that there is nobody before it. A fault
    that follows a point of no return directly took it back.
    """

    execs: int = 0
    output: bytearray = field(default_factory=bytearray)
    faults: list[str] = field(default_factory=list)
    passed: int = 0
    target_start: int | None = None
    _line_start: int = 0
    _at_the_line: bool = False

    def __post_init__(self) -> None:
        if self.execs == 0:
            self.target_start = 0

    def add(self, data: bytes) -> None:
        self.output += data
        while (end := self.output.find(b"\n", self._line_start)) >= 0:
            self._line(bytes(self.output[self._line_start:end]).rstrip(b"\r"), end + 1)
            self._line_start = end + 1

    def _line(self, line: bytes, end: int) -> None:
        just_passed, self._at_the_line = self._at_the_line, False
        if line.startswith(FAULT) and (self.target_start is None or just_passed):
            self.faults.append(line.removeprefix(FAULT).decode(errors="replace"))
            if just_passed:
                self.passed -= 1
                self.target_start = None
        elif self.target_start is None and line.startswith(POINT_OF_NO_RETURN):
            self._at_the_line = True
            self.passed += 1
            if self.passed == self.execs:
                self.target_start = end

    @property
    def target_output(self) -> bytes:
        return b"" if self.target_start is None else bytes(self.output[self.target_start:])

    @property
    def lines(self) -> list[str]:
        return self.output.decode(errors="replace").replace("\r", "").split("\n")

    def line_with(self, text: bytes) -> str:
        """The rest of the target's first line that has this text, from the text on; "" without one."""
        _, found, rest = self.target_output.partition(text)
        return (found + rest.splitlines()[0]).decode(errors="replace") if found and rest else found.decode()

    def find(self, text: bytes, searched: int) -> bool:
        """Whether the target said it, looking at nothing before position `searched` but what a match may straddle."""
        if self.target_start is None:
            return False
        return self.output.find(text, max(self.target_start, searched - len(text) + 1)) >= 0


@dataclass(frozen=True)
class Result:
    end: End
    reason: str
    transcript: Transcript
    seconds: float

    @property
    def text(self) -> str:
        return "\n".join(self.transcript.lines)


class Monitor:
    """QEMU's monitor protocol on a socket: JSON objects, one in each line. Only events interest us."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._pending = b""
        self.shutdown_reason = ""

    def start_machine(self) -> None:
        """Events come only after the greeting is answered, so the machine does not run before that."""
        for command in ("qmp_capabilities", "cont"):
            self._send(command)

    def quit(self) -> None:
        with contextlib.suppress(OSError):
            self._send("quit")

    def _send(self, command: str) -> None:
        self.connection.sendall(json.dumps({"execute": command}).encode() + b"\n")

    def add(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in filter(None, (line.strip() for line in lines)):
            message = json.loads(line)
            if message.get("event") == "SHUTDOWN":
                self.shutdown_reason = message.get("data", {}).get("reason", "")


@dataclass(frozen=True)
class Board:
    """A kind of machine that QEMU knows."""

    qemu: str
    cpu: str  # QEMU's name for the model of processor that it has if nobody asks for another
    options: tuple[str, ...]


PC = Board("qemu-system-x86_64", "qemu64", ("-machine", "pc", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"))
CLIPPER = Board("qemu-system-alpha", "ev67", ("-machine", "clipper"))


def discard(_: bytes) -> None:
    pass


@dataclass
class Machine:
    """One QEMU machine with a serial line and nothing else."""

    arguments: Sequence[str]  # -kernel and what belongs to it
    memory: int = 512  # MiB
    cpus: int = 1
    board: Board = PC
    cpu: str = ""  # QEMU's name for the processor's model; empty: the board's
    firmware: str = "seabios"
    timeout: float = 300.0  # seconds
    execs: int = 0  # points of no return before the target speaks
    expect: bytes | None = None
    on_output: Callable[[bytes], None] = discard

    def command(self, monitor: int) -> list[str]:
        # The machine must not outlive us, whatever becomes of us.
        leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        return [*leash, self.board.qemu, "-nodefaults", "-no-user-config", *self.board.options, "-accel", "tcg",
                "-m", str(self.memory), "-smp", str(self.cpus), "-cpu", self.cpu or self.board.cpu,
                *FIRMWARES[self.firmware], "-display", "none", "-no-reboot", "-S",
                "-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial",
                "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control",
                *self.arguments]

    def run(self) -> Result:
        if not shutil.which(self.board.qemu):
            raise BootError(f"{self.board.qemu} is not installed")
        begin = time.monotonic()
        transcript = Transcript(self.execs)
        with tempfile.TemporaryFile() as errors, self._start(errors) as (process, monitor):
            end = self._watch(process.stdout, monitor, transcript, begin + self.timeout)
            if end is None:
                end = self._how_it_ended(process, monitor)
            else:
                monitor.quit()
            errors.seek(0)
            reason = self._reason(end, transcript, process, errors.read().decode(errors="replace"))
        return Result(end, reason, transcript, time.monotonic() - begin)

    @contextlib.contextmanager
    def _start(self, errors: IO[bytes]) -> Iterator[tuple[subprocess.Popen, Monitor]]:
        with contextlib.ExitStack() as stack:
            ours, its = (stack.enter_context(end) for end in socket.socketpair())
            # The serial line is a pipe: what is in it when QEMU leaves is not lost. A socket holds only a few hundred
            # single bytes, and QEMU takes the rest with it.
            process = subprocess.Popen(self.command(its.fileno()), pass_fds=[its.fileno()],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
            stack.callback(self._stop, process)
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
            its.close()
            monitor = Monitor(ours)
            with contextlib.suppress(OSError):  # QEMU refused its arguments; its exit status will tell
                monitor.start_machine()
            yield process, monitor

    @staticmethod
    def _stop(process: subprocess.Popen) -> None:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()

    def _watch(self, serial: IO[bytes], monitor: Monitor, transcript: Transcript, deadline: float) -> End | None:
        """Reads until QEMU closes both lines (None), or until there is reason to stop it."""
        panicked = False
        with selectors.DefaultSelector() as selector:
            selector.register(serial, selectors.EVENT_READ)
            selector.register(monitor.connection, selectors.EVENT_READ)
            while selector.get_map():
                left = deadline - time.monotonic()
                ready = selector.select(left) if left > 0 else []
                if left <= 0:
                    return End.PANICKED if panicked else End.TIMEOUT
                for key, _ in ready:
                    data = receive(key.fd)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is monitor.connection:
                        monitor.add(data)
                    else:
                        before = len(transcript.output)
                        self.on_output(data)
                        transcript.add(data)
                        if self.expect and transcript.find(self.expect, before):
                            return End.EXPECTED
                        if not panicked and transcript.find(PANIC, before):
                            panicked = True
                            deadline = min(deadline, time.monotonic() + PANIC_GRACE)
        return None

    @staticmethod
    def _how_it_ended(process: subprocess.Popen, monitor: Monitor) -> End:
        status = process.wait()
        if status == DEBUG_EXIT_STATUS:
            return End.STOPPED
        if status != 0:
            return End.DIED
        return End.POWERED_OFF if monitor.shutdown_reason == "guest-shutdown" else End.RESET

    def _reason(self, end: End, transcript: Transcript, process: subprocess.Popen, errors: str) -> str:
        words = end.value
        if end is End.TIMEOUT:
            words = f"timeout after {self.timeout:g} seconds"
        elif end is End.DIED:
            words += f" with status {process.returncode}: {errors.strip() or 'no message'}"
        elif end in (End.PANICKED, End.RESET) and (panic := transcript.line_with(PANIC)):
            words += f": {panic}"
        if transcript.target_start is None:
            words += ", before the target ran"
        return words


def receive(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except ConnectionResetError:
        return b""
