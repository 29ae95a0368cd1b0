# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""A client of QEMU's gdb stub: GDB's remote serial protocol, as far as a program needs it to drive one processor.

    with debugged.start(machine) as session:      # tools/debugged.py: a machine under this stub, not yet running
        stub = session.stub
        stub.add_breakpoint(0xC010000C)
        stub.resume()                             # -> Stop(signal=5): it waits at the breakpoint
        stub.step()                               # -> one instruction, without interrupts
        stub.pc, stub.register("cr3"), stub.registers()["efer"]
        stub.read(stub.pc, 16)

Addresses are virtual unless `physical=True`. A stop is before the instruction at `pc`.

QEMU 7.2, TCG. What to know of it:

- The registers' names, widths and numbers are asked for (qXfer:features), and assumed only where QEMU describes none,
  which is so for an Alpha: qemu-system-x86_64 describes a 64-bit processor and keeps to that in every mode (`rip`,
  `rax`; a 32-bit guest's values are zero-extended), qemu-system-i386 a 32-bit one (`eip`, `eax`). `pc` and `general()`
  hide the difference. Descriptions that change with the mode, as those of other versions may, are read again by
  `refresh_description`.
- `rip` is the offset in the code segment. Breakpoints compare linear addresses: the same while the base is 0.
- A breakpoint is an address without an address space: it stops whoever executes there, before or after any change of
  tables and modes. Software and hardware breakpoints are one and the same; nothing is written into memory.
- One step of a repeated string instruction is one of its iterations, and one more that finds the counter at 0.
- Once in some 20,000 a step ends before its instruction, with nothing changed: who knows that the instruction goes
  elsewhere takes `step_elsewhere`.
- Steps keep interrupts and timers off unless `step(interrupts=True)`. An exception is still delivered: the step ends at
  the first instruction of its handler. A triple fault resets the machine, which with -no-reboot ends QEMU: `Gone`.
"""

import contextlib
import select
import socket
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass

TRAP, INTERRUPTED = 5, 2  # signals in stops: breakpoint or step; our own interrupt()
STEP_ONLY, STEP_NO_INTERRUPTS, STEP_NO_TIMERS = 1, 2, 4  # of Qqemu.sstep [qemu/gdb.rst]

LARGEST_READ = 0x400  # bytes in one packet; QEMU answers with at most 4096 characters

# An Alpha's, as GDB numbers them: integer and floating-point registers, then these [qemu/alpha gdbstub.c].
ALPHA_INTEGERS = ("v0 t0 t1 t2 t3 t4 t5 t6 t7 s0 s1 s2 s3 s4 s5 fp a0 a1 a2 a3 a4 a5 t8 t9 t10 t11 ra t12 at gp sp "
                  "zero").split()
ALPHA_NAMES = [*ALPHA_INTEGERS, *(f"f{n}" for n in range(31)), "fpcr", "pc", "", "unique"]


class StubError(Exception):
    """The stub refused, or said what cannot be understood."""


class Gone(StubError):
    """The machine has ended: powered off, reset, or QEMU died."""


class NoStop(StubError):
    """The machine still runs when it should have stopped; `interrupt()` stops it."""


@dataclass(frozen=True)
class Stop:
    """Why the machine waits."""

    signal: int
    watchpoint: int | None = None  # the address that was accessed


@dataclass(frozen=True)
class Register:
    name: str
    number: int
    bits: int


def checksum(data: bytes) -> int:
    """
    >>> hex(checksum(b"OK"))
    '0x9a'
    """
    return sum(data) & 0xFF


def packet(data: bytes) -> bytes:
    """
    >>> packet(b"g")
    b'$g#67'
    >>> packet(b"X}")
    b'$X}]#32'
    """
    escaped = bytearray()
    for byte in data:
        escaped += bytes([0x7D, byte ^ 0x20]) if byte in b"#$}*" else bytes([byte])
    return b"$" + bytes(escaped) + b"#%02x" % checksum(escaped)


def unescaped(data: bytes) -> bytes:
    """Takes the escapes and the run lengths out of a packet.

    >>> unescaped(b"0* "), unescaped(b"a}]b")
    (b'0000', b'a}b')
    """
    result = bytearray()
    position = 0
    while position < len(data):
        byte = data[position]
        if byte == 0x7D and position + 1 < len(data):
            position += 1
            result.append(data[position] ^ 0x20)
        elif byte == 0x2A and result and position + 1 < len(data):
            position += 1
            result += bytes([result[-1]]) * (data[position] - 29)
        else:
            result.append(byte)
        position += 1
    return bytes(result)


def layout(description: str, included) -> list[Register]:
    """The registers of a target description; `included(NAME)` is the text of one that it includes.

    >>> part = '<feature><reg name="rax" bitsize="64" regnum="0"/><reg name="rip" bitsize="64"/></feature>'
    >>> layout('<target><xi:include href="part.xml"/></target>', {"part.xml": part}.get)
    [Register(name='rax', number=0, bits=64), Register(name='rip', number=1, bits=64)]
    """
    registers: list[Register] = []

    def parsed(text: str):
        return xml.fromstring(text.replace("xi:include", "include"))  # QEMU's do not declare the name space

    def add(element) -> None:
        for child in element:
            if child.tag == "include":
                add(parsed(included(child.get("href"))))
            elif child.tag == "reg":
                number = int(child.get("regnum", registers[-1].number + 1 if registers else 0))
                registers.append(Register(child.get("name"), number, int(child.get("bitsize"))))
            else:
                add(child)

    add(parsed(description))
    return sorted(registers, key=lambda register: register.number)


class Stub:
    """One connection. The machine stops when it is made, and runs on (if it did before) when it is closed."""

    def __init__(self, connection: socket.socket, timeout: float = 60.0) -> None:
        self.connection = connection
        self.timeout = timeout  # seconds for an answer, and by default for a stop
        self._pending = bytearray()
        self._thanks = b""
        self._step_mode: int | None = None
        self._running = False
        self._physical = False
        self._described = b"qXfer:features:read+" in self._ask(b"qSupported:qXfer:features:read+;hwbreak+;swbreak+")
        self._ask(b"?")
        self._ask(b"Hg1")  # the first processor, for registers and memory,
        self._ask(b"Hc1")  # and for steps
        self._step_modes = self._supported_steps()
        self.refresh_description()

    @classmethod
    def connect(cls, path: str, timeout: float = 60.0) -> "Stub":
        """To QEMU's `-gdb unix:PATH,server,nowait`, which it opens some time after its start."""
        deadline = time.monotonic() + timeout
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(path)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                connection.close()
                if time.monotonic() > deadline:
                    raise StubError(f"{path}: nobody listens") from error
                time.sleep(0.01)
            else:
                return cls(connection, timeout)

    def close(self) -> None:
        """Leaves the machine to itself."""
        with contextlib.suppress(OSError, StubError):
            if not self._running:
                self._send(b"D")
        self.connection.close()

    # Packets

    def _receive(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.connection], [], [], left)[0]:
            raise NoStop("no answer in time") if self._running else StubError("the stub does not answer")
        try:
            data = self.connection.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            raise Gone("the machine has ended")
        self._pending += data

    def _answer(self, deadline: float) -> bytes:
        while True:
            start = self._pending.find(b"$")
            end = self._pending.find(b"#", start + 1) if start >= 0 else -1
            if end >= 0 and len(self._pending) >= end + 3:
                break
            self._receive(deadline)
        body = bytes(self._pending[start + 1:end])
        said = int(self._pending[end + 1:end + 3], 16)
        del self._pending[:end + 3]
        if checksum(body) != said:
            raise StubError("a packet arrived damaged")
        self._thanks = b"+"  # goes with the next packet, which halves the times that QEMU is woken up
        return unescaped(body)

    def _send(self, data: bytes) -> None:
        try:
            self.connection.sendall(self._thanks + packet(data))
            self._thanks = b""
        except OSError as error:
            raise Gone("the machine has ended") from error

    def _ask(self, data: bytes) -> bytes:
        if self._running:
            raise StubError("the machine runs; wait for its stop, or interrupt it")
        self._send(data)
        return self._answer(time.monotonic() + self.timeout)

    def _tell(self, data: bytes) -> None:
        answer = self._ask(data)
        if answer != b"OK":
            raise StubError(f"{data.decode(errors='replace')}: {answer.decode(errors='replace') or 'not supported'}")

    # Registers

    def _document(self, name: str) -> str:
        text = bytearray()
        while True:
            answer = self._ask(b"qXfer:features:read:%s:%x,%x" % (name.encode(), len(text), LARGEST_READ))
            text += answer[1:]
            if answer[:1] == b"l":
                return text.decode()
            if answer[:1] != b"m":
                raise StubError(f"no description of the processor ({name})")

    def refresh_description(self) -> None:
        """Asks for the registers anew. Needed only where their layout depends on the mode."""
        if self._described:
            self.layout = layout(self._document("target.xml"), self._document)
        else:
            self.layout = [Register(name, number, 64) for number, name in enumerate(ALPHA_NAMES)]
        self._by_name = {register.name: register for register in self.layout}
        self._pc = next((name for name in ("rip", "eip", "pc") if name in self._by_name), None)
        self._flags = next((name for name in ("rflags", "eflags") if name in self._by_name), None)
        if self._pc is None:
            raise StubError("the processor has no program counter")

    def _named(self, name: str) -> Register:
        if name not in self._by_name:
            raise StubError(f"no register is called {name}")
        return self._by_name[name]

    def register(self, name: str) -> int:
        """One register, by its name in the description: rax or eax, eflags, cs, cr0, cr3, efer, fs_base ..."""
        if not self._described:  # QEMU gives them only all together then
            return self.registers()[self._named(name).name]
        answer = self._ask(b"p%x" % self._named(name).number)
        try:
            return int.from_bytes(bytes.fromhex(answer.decode()), "little")
        except ValueError as error:
            raise StubError(f"{name}: {answer.decode(errors='replace')}") from error

    def set_register(self, name: str, value: int) -> None:
        register = self._named(name)
        if not self._described:
            values = {**self.registers(), name: value}
            self._tell(b"G" + b"".join(values[one.name].to_bytes(8, "little").hex().encode() for one in self.layout))
            return
        self._tell(b"P%x=%s" % (register.number, value.to_bytes(register.bits // 8, "little").hex().encode()))

    def registers(self) -> dict[str, int]:
        """All that one packet brings, by name; the widths are the description's."""
        data = bytes.fromhex(self._ask(b"g").decode())
        values: dict[str, int] = {}
        position = 0
        for register in self.layout:
            size = register.bits // 8
            if position + size > len(data):
                break
            values[register.name] = int.from_bytes(data[position:position + size], "little")
            position += size
        return values

    def general(self, name: str) -> int:
        """By the short name: general("cx") is rcx or ecx."""
        return self.register(("r" if self._pc == "rip" else "e") + name)

    @property
    def pc(self) -> int:
        return self.register(self._pc)

    @pc.setter
    def pc(self, value: int) -> None:
        self.set_register(self._pc, value)

    @property
    def flags(self) -> int:
        return self.register(self._flags)

    def mode(self) -> str:
        """What CR0 and EFER say: real, protected (paging off), paged (32-bit), long. In the last, 32-bit code segments
        exist too; the stub does not show the part of CS that tells, the monitor's `info registers` does."""
        cr0 = self.register("cr0")
        if not cr0 & 1:
            return "real"
        if not cr0 & 1 << 31:
            return "protected"
        return "long" if self.register("efer") & 1 << 10 else "paged"

    # Memory

    def _address_space(self, physical: bool) -> None:
        if physical != self._physical:
            self._tell(b"Qqemu.PhyMemMode:%d" % physical)
            self._physical = physical

    def read(self, address: int, size: int, physical: bool = False) -> bytes:
        self._address_space(physical)
        data = bytearray()
        while len(data) < size:
            part = min(size - len(data), LARGEST_READ)
            answer = self._ask(b"m%x,%x" % (address + len(data), part))
            if len(answer) != 2 * part:
                raise StubError(f"{address + len(data):#x}: cannot be read ({answer.decode(errors='replace')})")
            data += bytes.fromhex(answer.decode())
        return bytes(data)

    def write(self, address: int, data: bytes, physical: bool = False) -> None:
        self._address_space(physical)
        for at in range(0, len(data), LARGEST_READ):
            part = data[at:at + LARGEST_READ]
            self._tell(b"M%x,%x:%s" % (address + at, len(part), part.hex().encode()))

    # Where to stop

    def add_breakpoint(self, address: int) -> None:
        self._tell(b"Z1,%x,1" % address)

    def remove_breakpoint(self, address: int) -> None:
        self._tell(b"z1,%x,1" % address)

    @contextlib.contextmanager
    def breakpoints(self, *addresses: int):
        """For as long as the block lasts."""
        for address in addresses:
            self.add_breakpoint(address)
        try:
            yield
        finally:
            with contextlib.suppress(Gone):
                for address in addresses:
                    self.remove_breakpoint(address)

    def add_watchpoint(self, address: int, size: int, kind: str = "write") -> None:
        self._tell(b"Z%d,%x,%x" % ({"write": 2, "read": 3, "access": 4}[kind], address, size))

    def remove_watchpoint(self, address: int, size: int, kind: str = "write") -> None:
        self._tell(b"z%d,%x,%x" % ({"write": 2, "read": 3, "access": 4}[kind], address, size))

    # Running

    def _supported_steps(self) -> int:
        """ENABLE=1,NOIRQ=2,NOTIMER=4: a machine that records has the first alone."""
        bits = dict(item.partition("=")[::2] for item in self._ask(b"qqemu.sstepbits").decode().split(","))
        return sum(int(value, 16) for value in bits.values() if value)

    def _set_step_mode(self, mode: int) -> None:
        mode &= self._step_modes
        if mode != self._step_mode:
            self._tell(b"Qqemu.sstep=%x" % mode)
            self._step_mode = mode

    def step(self, interrupts: bool = False, timeout: float | None = None) -> Stop:
        """One instruction. With `interrupts`, an interrupt or NMI that waits is taken first: the step ends in its
        handler."""
        self._set_step_mode(STEP_ONLY if interrupts else STEP_ONLY | STEP_NO_INTERRUPTS | STEP_NO_TIMERS)
        self.resume_unattended(b"s")
        return self.wait(timeout)

    def step_elsewhere(self, interrupts: bool = False) -> int:
        """One step of what does not stay where it is, and the address that it ends at: the same only if two steps in a
        row end there."""
        begin = self.pc
        self.step(interrupts)
        if self.pc == begin:
            self.step(interrupts)
        return self.pc

    def resume(self, timeout: float | None = None) -> Stop:
        """Until the next stop. From a breakpoint it goes on: the instruction there is executed first."""
        self.resume_unattended(b"c")
        return self.wait(timeout)

    def resume_unattended(self, how: bytes = b"c") -> None:
        """Returns while the machine runs; `wait` or `interrupt` next."""
        if self._running:
            raise StubError("the machine runs already")
        self._send(how)
        self._running = True

    def wait(self, timeout: float | None = None) -> Stop:
        """For a stop. Raises NoStop when there is none in time, and Gone when the machine ends."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            answer = self._answer(deadline)
            kind = answer[:1]
            if kind == b"O" and answer != b"OK":  # console output for gdb
                continue
            self._running = False
            if kind in (b"W", b"X"):
                raise Gone("the machine has ended")
            if kind not in (b"S", b"T"):
                raise StubError(f"no stop: {answer.decode(errors='replace')}")
            pairs = dict(item.partition(b":")[::2] for item in answer[3:].split(b";") if b":" in item)
            where = next((pairs[key] for key in (b"watch", b"rwatch", b"awatch") if key in pairs), None)
            return Stop(int(answer[1:3], 16), None if where is None else int(where, 16))

    def interrupt(self) -> Stop:
        """Stops a machine that runs."""
        if not self._running:
            raise StubError("the machine does not run")
        with contextlib.suppress(OSError):
            self.connection.sendall(b"\x03")
        return self.wait()

    def run_to(self, *addresses: int, timeout: float | None = None) -> int:
        """Until one of these addresses, which it returns."""
        with self.breakpoints(*addresses):
            self.resume(timeout)
            return self.pc
