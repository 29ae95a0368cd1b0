# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Linux's kexec in QEMU, as Debian's kexec-tools sets it up, followed from interrupts-off to the new kernel.

Debian's amd64 kernel starts with an initramfs whose /init loads an image with kexec and goes. Its symbols (printed by
/init, with the kernel at its linked address) say where to stop: machine_kexec, relocate_kernel; its list of pages says
how much will be copied, where purgatory begins and where the new kernel will lie.
"""

import gzip
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import boot
import debugged
import gdbstub
import kit
import loaders
import overlay_code
from counted import Count
from machine import BootError, Machine

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo 1 >/proc/sys/kernel/printk
export LD_LIBRARY_PATH=/lib64
echo 0 >/proc/sys/kernel/kptr_restrict
grep -E ' [Tt] (machine_kexec|native_machine_shutdown|relocate_kernel)$' /proc/kallsyms | sed 's/^/kexec: symbol /'
kexec {system_call} -l /boot/vmlinuz --initrd=/boot/initrd --command-line={command_line} && echo 'kexec: loaded'
kexec -e
echo 'kexec: refused'
poweroff -f
"""
COMMAND_LINE = "console=ttyS0"

# Flags of an entry in Linux's list of pages [linux/kexec.h].
DESTINATION, INDIRECTION, DONE, SOURCE = 1, 2, 4, 8
PAGE = 4096
INTERRUPTS = 1 << 9  # in the flags
CLI = b"\xfa"
ITERATIONS_FOR_A_PAGE = 3 * PAGE // 8  # swap_pages exchanges by way of a third page, in words of 8
ENTRIES = {"startup_32": 0, "startup_64": 0x200}  # from the first byte that is loaded [linux/boot.rst]


def libraries_for(program: Path, folder: Path) -> dict[str, Path]:
    """What the dynamic linker will look for, by the name that it looks for."""
    there = {path.name: path for path in folder.rglob("*.so*")}
    wanted = ["ld-linux-x86-64.so.2"]
    found: dict[str, Path] = {}

    def needed(path: Path) -> list[str]:
        lines = overlay_code.output_of("readelf", "-dW", str(path)).splitlines()
        return [line.partition("[")[2].rstrip("]") for line in lines if "(NEEDED)" in line]

    wanted += needed(program)
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        if name not in there:
            raise BootError(f"{program.name} needs {name}, which is not in {folder}")
        found[name] = there[name]
        wanted += needed(there[name])
    return found


def kexec_initramfs(things: kit.Kit, tools: dict[str, Path], image: Path, initrd: Path, system_call: str) -> bytes:
    """One whose /init execs `image` with `initrd`. `system_call` is -c, kexec_load, or -s, kexec_file_load."""
    make = loaders.cpio()
    entries = [make.directory(name) for name in ("bin", "boot", "dev", "lib64", "proc", "sys")]
    init = INIT.format(system_call=system_call, command_line=COMMAND_LINE)
    entries += [make.program("init", init.encode()), make.program("bin/busybox", things.busybox.read_bytes()),
                make.program("bin/kexec", tools["kexec-tools"].read_bytes()),
                make.program("boot/vmlinuz", image.read_bytes()), make.program("boot/initrd", initrd.read_bytes())]
    entries += [make.link(f"bin/{name}", "busybox") for name in ("sh", "echo", "grep", "mount", "poweroff", "sed")]
    for name, path in libraries_for(tools["kexec-tools"], tools["kexec-libraries"]).items():
        entries.append(make.program(f"lib64/{name}", path.read_bytes()))
    return gzip.compress(make.archive(sorted(entries, key=lambda entry: entry.name)), 1, mtime=0)


def kernel_payload(image: Path) -> bytes:
    """The first page of what a bzImage's loader loads [linux/boot.rst]."""
    data = image.read_bytes()
    return data[(1 + (data[0x1F1] or 4)) * 512:][:PAGE]


class PageList:
    """Linux's list of what it copies, read out of the stopped machine."""

    def __init__(self, stub: gdbstub.Stub, head: int) -> None:
        self.pages: list[tuple[int, int]] = []  # destination, source
        entry, destination, table, position = head, 0, b"", 0
        while True:
            address = entry & ~(PAGE - 1)
            if entry & DONE:
                return
            if entry & DESTINATION:
                destination = address
            elif entry & INDIRECTION:
                table, position = stub.read(address, PAGE, physical=True), 0
            elif entry & SOURCE:
                self.pages.append((destination, address))
                destination += PAGE
            if position + 8 > len(table):
                raise BootError("Linux's list of pages has no end")
            entry, position = struct.unpack_from("<Q", table, position)[0], position + 8


def step_until(stub: gdbstub.Stub, reached: Callable[[], bool], what: str, most: int = 5000) -> int:
    """Returns how many of the steps were iterations of string instructions: nothing else stays where it is."""
    iterations, pc = 0, stub.pc
    for _ in range(most):
        if reached():
            return iterations
        stub.step()
        before, pc = pc, stub.pc
        iterations += pc == before
    raise BootError(f"Linux's kexec: {what} was not found within {most} instructions")


class LinuxExec:
    """Follows Linux through its kexec, by the breakpoints that its symbols allow."""

    def __init__(self, session: debugged.Session, image: Path, timeout: float) -> None:
        self.session, self.stub, self.timeout = session, session.stub, timeout
        self.payload = kernel_payload(image)

    def symbols(self) -> dict[str, int]:
        """What /init prints before it loads anything; the machine is stopped then and now."""
        self.stub.resume_unattended()
        try:
            self.session.wait_for_line(b"kexec: symbol ", self.timeout)
            self.session.wait_for_line(b"native_machine_shutdown", self.timeout)
            self.session.wait_for_line(b"relocate_kernel", self.timeout)
        finally:
            self.stub.interrupt()
        words = [line.split() for line in self.session.transcript.lines if line.startswith("kexec: symbol ")]
        return {name: int(address, 16) for _, _, address, _, name in words}

    def count(self, result: Count) -> None:
        stub, session = self.stub, self.session
        symbol = self.symbols()
        stub.run_to(symbol["native_machine_shutdown"], timeout=self.timeout)
        shutdown = session.instructions()
        stub.run_to(symbol["machine_kexec"], timeout=self.timeout)
        step_until(stub, lambda: stub.read(stub.pc, 1) == CLI, "interrupts-off")
        begin = session.instructions()
        result.facts["device shutdown before, not counted"] = begin - shutdown
        iterations = step_until(stub, lambda: stub.pc == symbol["relocate_kernel"], "relocate_kernel")
        self.part(result, "machine_kexec", begin, iterations)
        arguments = stub.registers()
        pages = PageList(stub, arguments["rdi"])
        result.facts["pages"] = len(pages.pages)
        purgatory = arguments["rdx"]
        entries = {self.kernel_at(pages) + offset: name for name, offset in ENTRIES.items()}

        here = session.instructions()
        step_until(stub, lambda: stub.mode() == "long" and stub.pc < 1 << 46 and stub.read(stub.pc, 1) == b"\xe8",
                   "the call of swap_pages")
        self.part(result, "relocate_kernel", here)
        here = session.instructions()
        stub.run_to(stub.pc + 5, timeout=self.timeout)
        self.part(result, "swap_pages", here, len(pages.pages) * ITERATIONS_FOR_A_PAGE)
        here = session.instructions()
        stub.run_to(purgatory, timeout=self.timeout)
        self.part(result, "relocate_kernel", here)
        here = session.instructions()
        entry = stub.run_to(*entries, timeout=self.timeout)
        self.part(result, "purgatory", here)
        result.facts["entry"] = entry
        result.total = session.instructions() - begin

    def part(self, result: Count, name: str, begin: int, iterations: int = 0) -> None:
        """What was executed since the counter stood at `begin`."""
        result.iterations += iterations
        result.add(name, self.session.instructions() - begin - iterations)

    def kernel_at(self, pages: PageList) -> int:
        """Where the new kernel will lie: the destination of the page that begins with its first bytes."""
        for destination, source in pages.pages:
            if (self.stub.read(source, 16, physical=True) == self.payload[:16]
                    and self.stub.read(source, PAGE, physical=True) == self.payload):
                return destination
        raise BootError("the new kernel is not in Linux's list of pages")


def count_kexec(things: kit.Kit, tools: dict[str, Path], image: Path, initrd: Path, name: str, system_call: str,
                memory: int, timeout: float) -> Count:
    result = Count(name, memory)
    with tempfile.TemporaryDirectory(prefix="lobos-kexec-") as folder:
        archive = Path(folder, "initramfs")
        archive.write_bytes(kexec_initramfs(things, tools, image, initrd, system_call))
        machine = Machine(["-kernel", str(things.linux_amd64.image), "-initrd", str(archive),
                           "-append", f"{COMMAND_LINE} nokaslr quiet panic=-1"], memory=memory)
        with debugged.start(machine, counting=True) as session:
            try:
                LinuxExec(session, image, timeout).count(result)
            except gdbstub.StubError as error:
                said = "\n".join(session.transcript.lines[-20:])
                raise BootError(f"{name}: {error}; the machine's last words:\n{said}") from error
    return result
