#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Kernel-exec an image in Bochs, a stricter machine than QEMU's TCG: it checks descriptor limits and reserved bits.

`BochsMachine` has the shape of machine.Machine and gives the same Result. GRUB on a CD is the multiboot loader. The
serial line and Bochs's log are pipes; the log tells a power-off from a triple fault, a reset and a halt. Bochs draws
its screen on a pseudo-terminal that nobody looks at.
"""

import argparse
import contextlib
import fcntl
import os
import pty
import re
import select
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boot
import machine

PACKAGES = ("bochs", "bochs-term", "bochsbios", "vgabios", "grub-common", "grub-pc-bin", "xorriso")
GRUB_MODULES = ("biosdisk", "iso9660", "multiboot", "boot", "halt")
CPU = "tigerlake"  # SMEP, SMAP, PCID, UMIP, PKU and CET; `bochs --help cpu` lists the others
IPS = 20_000_000  # instructions for a second of the machine's clock
KERNEL_NAME = "reference-kernel"
PANIC_GRACE = 20.0  # seconds for a panicking target to finish speaking: it does so slowly here

# `guest` needs all of `host`: what is not there would be swapped to a file.
CONFIGURATION = """\
config_interface: textconfig
display_library: term
plugin_ctrl: unmapped=1, biosdev=1, extfpuirq=1, serial=1, speaker=0, parallel=0, gameport=0, iodebug=0
memory: guest={memory}, host={memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios-stdvga.bin
boot: cdrom
cpu: model={cpu}, count=1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
clock: sync=none, time0=946684800
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={cd}, status=inserted
com1: enabled=1, mode=file, dev=/dev/fd/{serial}
log: /dev/fd/{log}
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
"""

POWERED_OFF = re.compile(r"soft power off|Shutdown port: shutdown requested")
TRIPLE_FAULT = re.compile(r"3rd \(\d+\) exception with no resolution")
RESET = re.compile(r"bx_pc_system_c::Reset\(\w+\) called")
HALTED = re.compile(r"HLT instruction with IF=0")
PANIC = re.compile(r">>PANIC<< (.*)")
# What a processor refused; that it then found no handler either says nothing.
PROCESSOR_ERROR = re.compile(r"^\d+e\[CPU\d+ *\] (?!interrupt\(\): vector)(.*)")
STOPPED = (b"lobos: nothing left to exec", b"lobos: stopped: ")  # what the reference kernel says before it halts


def install() -> None:
    script = 'source "$1"; shift; need_packages "$@"'
    library = boot.ROOT / "scripts/lib/packages.sh"
    if subprocess.run(["bash", "-c", script, "bochs.py", library, *PACKAGES], check=False).returncode != 0:
        raise machine.BootError("Bochs and GRUB cannot be installed")


def loader_script(what: boot.Exec, kernel: Path) -> str:
    """What GRUB is to do. It joins the words by single blanks and takes quotes for its own, so neither may be lost."""
    words = what.command_line().split(" ")
    if any(not re.fullmatch(r"[^\s'\"\\]+", word) for word in words):
        raise machine.BootError("GRUB does not pass on a command line with quotes, backslashes or more than one blank")
    lines = ["multiboot /kernel " + " ".join(f"'{word}'" for word in (KERNEL_NAME, *words))]
    lines += [f"module /m{number} '{file.name}'" for number, file in enumerate(what.files(kernel))]
    return "\n".join([*lines, "boot", "halt"]) + "\n"


def quietly(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise machine.BootError(f"{command[0]}: {done.stderr.strip() or 'failed'}")


def make_cd(folder: Path, kernel: Path, what: boot.Exec) -> Path:
    """A CD with GRUB, the kernel and the files; nothing is copied twice."""
    script, loader, cd = folder / "grub.cfg", folder / "grub.img", folder / "cd.iso"
    script.write_text(loader_script(what, kernel))
    quietly(["grub-mkimage", "-O", "i386-pc-eltorito", "-p", "/", "-c", str(script), "-o", str(loader), *GRUB_MODULES])

    def link(name: str, path: Path) -> str:  # a graft point has its own characters
        (folder / name).symlink_to(path.resolve())
        return f"{name}={folder / name}"

    files = [link(f"m{number}", file.path) for number, file in enumerate(what.files(kernel))]
    quietly(["xorriso", "-as", "mkisofs", "-quiet", "-f", "-graft-points", "-o", str(cd), "-b", "grub.img",
             "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
             f"grub.img={loader}", link("kernel", kernel), *files])
    return cd


@dataclass
class Log:
    """Bochs's log: how the machine ended, as soon as that is known."""

    output: bytearray
    resets: int = 0
    end: machine.End | None = None
    panic: str = ""
    error: str = ""  # the last thing a processor refused
    _pending: bytes = b""

    def add(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))

    def _line(self, line: str) -> None:
        if self.end:  # the rest is Bochs's account of the processor
            return
        if match := PROCESSOR_ERROR.match(line):
            self.error = match[1]
        if match := PANIC.search(line):
            self.panic = match[1]
        if POWERED_OFF.search(line):
            self.end = machine.End.POWERED_OFF
        elif TRIPLE_FAULT.search(line):
            self.end = machine.End.RESET
        elif RESET.search(line):
            self.resets += 1  # the first is the machine's start
            self.end = machine.End.RESET if self.resets > 1 else None
        elif HALTED.search(line) and self._said_to_stop():
            self.end = machine.End.STOPPED
        elif self.panic:
            self.end = machine.End.DIED

    def _said_to_stop(self) -> bool:
        """The serial file is written as the machine goes, and read before the log."""
        return any(text in bytes(self.output[-300:]) for text in STOPPED)


@dataclass
class BochsMachine:
    """One Bochs from start to end: an IBM PC with a serial line, and a CD to start from."""

    kernel: Path
    what: boot.Exec
    memory: int = 512  # MiB
    timeout: float = 600.0  # seconds
    expect: bytes | None = None
    on_output: Callable[[bytes], None] = machine.discard
    cpu: str = CPU
    ips: int = IPS
    log_file: Path | None = None  # where Bochs's own log is to be kept

    @property
    def execs(self) -> int:
        return self.what.chain + 1

    def run(self) -> machine.Result:
        install()
        begin = time.monotonic()
        transcript = machine.Transcript(self.execs)
        log = Log(transcript.output)
        with tempfile.TemporaryDirectory(prefix="lobos-") as folder:
            cd = make_cd(Path(folder), self.kernel, self.what)
            with self._start(Path(folder), cd) as (process, lines):
                end = self._watch(lines, transcript, log, begin + self.timeout) or machine.End.DIED
        return machine.Result(end, self._reason(end, transcript, log, process), transcript, time.monotonic() - begin)

    @contextlib.contextmanager
    def _start(self, folder: Path, cd: Path) -> Iterator[tuple[subprocess.Popen, tuple[int, int, int]]]:
        """Bochs, and our ends of its serial line, log and screen."""
        with contextlib.ExitStack() as stack:
            def ours(descriptor: int) -> int:
                stack.callback(os.close, descriptor)
                return descriptor

            serial, its_serial = os.pipe()
            fcntl.fcntl(serial, fcntl.F_SETPIPE_SZ, machine.PIPE_SIZE)
            log, its_log = os.pipe()
            screen, its_screen = pty.openpty()
            configuration, commands = folder / "bochsrc", folder / "commands"
            configuration.write_text(CONFIGURATION.format(
                memory=self.memory, cpu=self.cpu, ips=self.ips, cd=cd, serial=its_serial, log=its_log))
            commands.write_text("continue\n")  # Debian's Bochs starts in its debugger
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "bochs", "-q", "-f", configuration, "-rc", commands],
                stdin=its_screen, stdout=its_screen, stderr=its_screen, pass_fds=(its_serial, its_log),
                env={**os.environ, "TERM": "vt100"}, start_new_session=True)
            for descriptor in (its_serial, its_log, its_screen):
                os.close(descriptor)
            lines = ours(serial), ours(log), ours(screen)
            stack.callback(self._stop, process)
            yield process, lines

    @staticmethod
    def _stop(process: subprocess.Popen) -> None:
        if process.poll() is None:
            process.kill()
        process.wait()

    def _watch(self, lines: tuple[int, int, int], transcript: machine.Transcript, log: Log,
               deadline: float) -> machine.End | None:
        """Reads until the log tells the end, Bochs leaves (None), or there is reason to stop it."""
        serial, its_log, screen = lines
        panicked = False
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            kept = stack.enter_context(self.log_file.open("wb")) if self.log_file else None
            for line in lines:
                selector.register(line, selectors.EVENT_READ)
            while serial in selector.get_map() or its_log in selector.get_map():
                left = deadline - time.monotonic()
                ready = {key.fd for key, _ in selector.select(left)} if left > 0 else set()
                if left <= 0:
                    return machine.End.PANICKED if panicked else machine.End.TIMEOUT
                news = {line: self._receive(line) for line in (its_log, screen) if line in ready}
                before = len(transcript.output)
                # The log is read first and heard last: what it speaks about was said before.
                if serial in selector.get_map() and select.select([serial], [], [], 0)[0]:
                    news[serial] = self._receive(serial)
                    self.on_output(news[serial])
                    transcript.add(news[serial])
                if kept:
                    kept.write(news.get(its_log, b""))
                log.add(news.get(its_log, b""))
                for line in (line for line, data in news.items() if not data):
                    selector.unregister(line)
                if self.expect and transcript.find(self.expect, before):
                    return machine.End.EXPECTED
                if log.end:
                    return log.end
                if not panicked and transcript.find(machine.PANIC, before):
                    panicked = True
                    deadline = min(deadline, time.monotonic() + PANIC_GRACE)
        return log.end

    @staticmethod
    def _receive(descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 1 << 16)
        except OSError:  # of a pseudo-terminal that nobody has open any more
            return b""

    def _reason(self, end: machine.End, transcript: machine.Transcript, log: Log, process: subprocess.Popen) -> str:
        words = end.value
        if end is machine.End.TIMEOUT:
            words = f"timeout after {self.timeout:g} seconds"
        elif end is machine.End.DIED:
            words = f"Bochs died with status {process.returncode}: {log.panic or 'no message'}"
        elif end in (machine.End.PANICKED, machine.End.RESET) and (panic := transcript.line_with(machine.PANIC)):
            words += f": {panic}"
        elif end is machine.End.RESET and log.panic:
            words += f": {log.panic}" + (f" after {log.error}" if log.error else "")
        return words + (", before the target ran" if transcript.target_start is None else "")


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="tools/bochs.py", description="Start the reference kernel in Bochs and have it exec images. "
        "Its serial line is standard output.", allow_abbrev=False)
    result.add_argument("kernel", type=Path, metavar="KERNEL-ELF", help="the reference kernel")
    result.add_argument("--exec", type=Path, action="append", default=[], dest="images", metavar="IMAGE",
                        help="what it is to exec; with more than one, the first that can be (default: nothing)")
    result.add_argument("--initrd", type=Path, metavar="F")
    result.add_argument("--append", default="", metavar="S", help="the image's command line")
    result.add_argument("--chain", type=boot.natural, default=0, metavar="N", help="it execs itself N times before")
    result.add_argument("--memory", type=boot.positive(int), default=512, metavar="MiB")
    result.add_argument("--timeout", type=boot.positive(float), default=600.0, metavar="S")
    result.add_argument("--expect", metavar="TEXT", help="stop with success when the target prints this")
    result.add_argument("--cpu", default=CPU, metavar="MODEL")
    result.add_argument("--ips", type=boot.positive(int), default=IPS, metavar="N")
    result.add_argument("--log", type=Path, metavar="FILE", help="keep Bochs's own log here")
    return result


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    args = parser().parse_args()
    try:
        for path in (args.kernel, args.initrd, *args.images):
            if path is not None:
                boot.check_readable(path)
        taken = {boot.SELF_NAME}
        images = [boot.named(path, taken) for path in args.images]
        initrd = boot.named(args.initrd, taken) if args.initrd else None
        expect = args.expect.encode() if args.expect else None
        what = boot.Exec(images, initrd, args.append, args.chain)
        result = BochsMachine(args.kernel, what, args.memory, args.timeout, expect, boot.to_stdout, args.cpu,
                              args.ips, args.log).run()
    except machine.BootError as error:
        print(f"bochs: {error}", file=sys.stderr)
        return boot.EXIT_USAGE
    except KeyboardInterrupt:
        return boot.EXIT_INTERRUPTED
    print(f"bochs: {result.reason} ({result.seconds:.1f} s)", file=sys.stderr)
    return boot.EXIT_FAILED if boot.unmet(result, args.expect) else boot.EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
