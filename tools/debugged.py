# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""A QEMU machine that a program steers: the debugger's stub, the monitor's commands, and the serial line as it comes.

    with boot.exec_machine(kernel, what) as machine, debugged.start(machine) as session:
        session.stub.run_to(address)         # tools/gdbstub.py; the machine has not begun to run
        session.command("inject-nmi")        # QEMU's monitor, machine protocol
        session.human("info registers")      # the same, for people
        session.instructions()               # executed so far; only with start(..., counting=True)
        session.transcript                   # what the serial line has said
        session.ended()                      # once the machine is gone: powered off, reset ...

Counting is QEMU's record/replay [qemu/replay.rst] with one nanosecond of virtual time for each instruction. The
counter is exact. It counts the iterations of a repeated string instruction, and once more its finding that the counter
is 0: n iterations are n + 1. The recording itself is thrown away.
"""

import contextlib
import dataclasses
import json
import os
import select
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import IO

import gdbstub
from machine import DEBUG_EXIT_STATUS, BootError, End, Machine, Transcript


class Commands:
    """The machine protocol, question by question."""

    def __init__(self, connection: socket.socket, timeout: float = 60.0) -> None:
        self.connection = connection
        self.timeout = timeout
        self.events: list[dict] = []
        self._pending = b""
        self.next()  # the greeting
        self("qmp_capabilities")

    def next(self) -> dict:
        """The next message, whatever it is."""
        while b"\n" not in self._pending:
            if not select.select([self.connection], [], [], self.timeout)[0]:
                raise BootError("QEMU's monitor does not answer")
            try:
                data = self.connection.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise gdbstub.Gone("the machine has ended")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def __call__(self, command: str, **arguments):
        """What the command returns."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        try:
            self.connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise gdbstub.Gone("the machine has ended") from error
        while True:
            message = self.next()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise BootError(f"{command}: {message['error'].get('desc', message['error'])}")
            self.events.append(message)


class Session:
    """One machine, from its first instruction on."""

    def __init__(self, stub: gdbstub.Stub, command: Commands, process: subprocess.Popen,
                 transcript: Transcript) -> None:
        self.stub = stub
        self.command = command
        self.process = process
        self.transcript = transcript
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, serial: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(serial.fileno(), 1 << 16):
                self.transcript.add(data)

    def human(self, line: str) -> str:
        return self.command("human-monitor-command", **{"command-line": line})

    def instructions(self) -> int:
        return self.command("query-replay")["icount"]

    def ended(self, timeout: float = 60.0) -> End:
        """After the stub said Gone, or was closed: waits for QEMU to leave, and says how it came to that. Then the
        transcript is complete."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return End.TIMEOUT
        self._reader.join(timeout)
        with contextlib.suppress(gdbstub.Gone):
            while True:
                self.command.events.append(self.command.next())
        reasons = [event["data"].get("reason", "") for event in self.command.events if event.get("event") == "SHUTDOWN"]
        if self.process.returncode == DEBUG_EXIT_STATUS:
            return End.STOPPED
        if self.process.returncode != 0:
            return End.DIED
        return End.POWERED_OFF if "guest-shutdown" in reasons else End.RESET

    def wait_for_line(self, text: bytes, timeout: float = 10.0) -> str:
        """The first line that has this text, from the text on, once all of it was said."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            _, found, rest = bytes(self.transcript.output).partition(text)
            if found and b"\n" in rest:
                return (found + rest.splitlines()[0]).decode(errors="replace").rstrip()
            time.sleep(0.01)
        raise BootError(f"the machine did not say: {text.decode()}")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


@contextlib.contextmanager
def start(machine: Machine, counting: bool = False) -> Iterator[Session]:
    """The machine, stopped before its first instruction; killed at the end of the block."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lobos-gdb-"))
        path = f"{folder}/stub"
        arguments = [*machine.arguments, "-gdb", f"unix:{path},server,nowait"]
        if counting:
            arguments += ["-icount", f"shift=0,rr=record,rrfile={folder}/recording"]
        errors = stack.enter_context(tempfile.TemporaryFile())
        ours, its = (stack.enter_context(end) for end in socket.socketpair())
        process = subprocess.Popen(dataclasses.replace(machine, arguments=arguments).command(its.fileno()),
                                   pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=errors)
        stack.callback(stop, process)
        its.close()
        try:
            command = Commands(ours)
            stub = gdbstub.Stub.connect(path)
        except (BootError, gdbstub.StubError) as error:
            with contextlib.suppress(Exception):
                process.wait(1)
            errors.seek(0)
            raise BootError(f"QEMU: {errors.read().decode(errors='replace').strip() or error}") from error
        stack.callback(stub.connection.close)
        yield Session(stub, command, process, Transcript(machine.execs))

