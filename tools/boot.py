#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Kernel-exec an image in QEMU: the reference kernel starts, and replaces itself in memory by the image.

What scripts/boot runs, and a module for the demo and the tests: `exec_machine` is a machine with the reference kernel
and files to exec.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import loaders
from loaders import File
from machine import CLIPPER, FIRMWARES, PC, BootError, End, Machine, Result

ROOT = Path(__file__).resolve().parent.parent
PAGINGS = ("4m", "4k", "pae", "4level", "5level")  # the modes of paging that the reference kernel is built for
ENTRIES = ("auto", "real", "linux32", "linux64", "multiboot", "multiboot2", "pvh", "paged")
WIDE_PAGINGS = ("4level", "5level")  # those that reach above 4 GiB
MEMORY, MEMORY_ABOVE_4G = 512, 6144  # MiB; QEMU takes from its host what is written to
MOST_CPUS = 255  # as many as an APIC tells apart
ARCHITECTURES = ("x86", "alpha")
SELF_NAME = "/boot/reference-kernel"  # the name by which the reference kernel execs itself

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Exec:
    """What the reference kernel is told to do: try the images in turn until one execs."""

    images: Sequence[File]
    initrd: File | None = None
    append: str = ""
    chain: int = 0
    ask_for: str = ""  # another name for the images, such as a part of one
    ask_for_initrd: str = ""  # another name for the initrd, such as one that no file has
    late: bool = False  # put nothing in place before the point of no return, so that the overlay copies all of it
    files_in_place: bool = False  # take them from where the loader put them, without a second copy
    copy: str = "paged"  # or unpaged
    above_4g: bool = False  # place what may lie there above 4 GiB
    entry: str = "auto"  # one of ENTRIES
    target_paging: str = ""  # one of PAGINGS, for an image that is entered paged; empty: as the reference kernel itself
    flat: tuple[int, int, int, int] | None = None  # the images are plain binaries: see --flat
    cpus: int = 1

    def command_line(self) -> str:
        words = ["exec=" + (self.ask_for or ",".join(image.name for image in self.images))]
        if self.initrd or self.ask_for_initrd:
            words.append("initrd=" + (self.ask_for_initrd or self.initrd.name))
        if self.chain:
            words.append(f"chain={self.chain}")
        if self.late:
            words.append("staging=late")
        if self.files_in_place:
            words.append("files=in-place")
        if self.copy != "paged":
            words.append(f"copy={self.copy}")
        if self.above_4g:
            words.append("place=above-4g")
        if self.entry != "auto":
            words.append(f"entry={self.entry}")
        if self.target_paging:
            words.append(f"paging={self.target_paging}")
        if self.flat:
            words.append("flat=" + ":".join(map(str, self.flat)))
        if self.cpus != 1:
            words.append(f"cpus={self.cpus}")
        if self.append:
            words += ["--", self.append]
        return " ".join(words)

    def files(self, kernel: Path) -> list[File]:
        files = list(self.images)
        if self.initrd:
            files.append(self.initrd)
        if self.chain:
            files.append(File(SELF_NAME, kernel))
        return files


def named(path: Path, taken: set[str]) -> File:
    """The file under a name that the reference kernel's command line can say, and that no other file has."""
    clean = "/boot/" + (re.sub(r"[^A-Za-z0-9._+-]", "_", path.name) or "_")
    name = next(name for name in numbered(clean) if name not in taken)
    taken.add(name)
    return File(name, path)


def numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def model_for(kernel: Path) -> str:
    """A processor that runs the reference kernel: for a 64-bit one it has all that QEMU can do, 5-level paging too."""
    with kernel.open("rb") as file:
        return "max" if file.read(5) == b"\x7fELF\x02" else PC.cpu


@contextlib.contextmanager
def exec_machine(kernel: Path, what: Exec, **options) -> Iterator[Machine]:
    """A machine with the reference kernel, told to exec."""
    base = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(prefix="lobos-", dir=None if not re.search(r"[\s,:]", base) else "/tmp") as place:
        told = (Path(place), kernel, what.command_line(), what.files(kernel))
        if options.get("board") is CLIPPER:
            arguments, cpu = loaders.by_archive(*told), CLIPPER.cpu
        elif options.get("firmware") == "efi":
            arguments, cpu = loaders.by_efi(things_from("efi.sh")["firmware"], *told), model_for(kernel)
        else:
            arguments, cpu = loaders.by_multiboot(*told), model_for(kernel)
        yield Machine(arguments, execs=what.chain + 1, **{"cpus": what.cpus, "cpu": cpu, **options})


def run_exec(kernel: Path, what: Exec, **options) -> Result:
    with exec_machine(kernel, what, **options) as machine:
        return machine.run()


def check_readable(path: Path) -> None:
    """A clear word now instead of QEMU's later."""
    try:
        if path.is_dir():
            raise BootError(f"{path}: is a directory")
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise BootError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def things_from(script: str, *arguments: str) -> dict[str, Path]:
    """The `thing=FILE` lines that a script of scripts/lib prints after making sure that the things are there."""
    command = ["bash", str(ROOT / "scripts/lib" / script), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BootError(f"scripts/lib/{script} failed")
    return {thing: Path(path) for thing, _, path in (line.partition("=") for line in done.stdout.splitlines())}


def build_kernels(*modes: str, clang: bool = False) -> dict[str, Path]:
    """The reference kernel in these modes of paging."""
    built = things_from("build.sh", *(["--clang"] if clang else []), *modes)
    return {mode: built[f"reference-kernel-{mode}"] for mode in modes}


def unmet(result: Result, expect: str | None) -> list[str]:
    """What keeps a result from being a success; the fault that kept the exec from happening comes first."""
    ran = result.transcript.target_start is not None
    if result.end is End.EXPECTED or (result.end is End.POWERED_OFF and ran and expect is None):
        return []
    faults = [] if ran else [f"fault: {fault}" for fault in result.transcript.faults]
    return [*faults, result.reason + ("" if expect is None else f", without printing: {expect}")]


# The command line ---------------------------------------------------------------------------------------------------

EXAMPLES = """\
examples:
  scripts/boot /boot/vmlinuz --initrd /boot/initrd.img --append "console=ttyS0" --expect "login:"
  scripts/boot memtest.elf --timeout 60 --expect "Memtest"
  scripts/boot vmlinuz --append "console=ttyS0 panic=-1" --chain 100
  scripts/boot vmlinuz --append "console=ttyS0" --paging 5level --copy unpaged --firmware qboot
  scripts/boot vmlinuz --append "console=ttyS0 nokaslr" --paging 4level --entry linux64 --above-4g
  scripts/boot vmlinuz --append "console=ttyS0" --firmware efi --chain 2
  scripts/boot --arch alpha vmlinux --initrd initramfs.gz --append "console=ttyS0" --chain 2

exit status:
  0  the target printed TEXT (the machine is then stopped) or, without --expect, powered off by itself
  1  anything else: a fault before the point of no return, a reset, a panic, a timeout; the reason is on standard error
  2  nothing was started: wrong usage, an unreadable file, a missing package, the reference kernel does not build
"""


def processors(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MOST_CPUS:
        raise ValueError
    return value


processors.__name__ = f"number from 1 to {MOST_CPUS}"


def positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value
    parse.__name__ = "positive number"
    return parse


def plain_binary(text: str) -> tuple[int, int, int, int]:
    values = tuple(int(word, 0) for word in text.split(":"))
    if len(values) != 4 or not all(0 <= value < 1 << 64 for value in values):
        raise ValueError
    return values


plain_binary.__name__ = "AT:VIRTUAL:ENTRY:ZEROS"


def natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="scripts/boot",
        description="Kernel-exec an image in QEMU: lobos's reference kernel starts, and replaces itself in memory by "
                    "KERNEL, a Linux bzImage or an ELF file. Its serial line is standard output.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    result.add_argument("kernel", type=Path, metavar="KERNEL", help="the image to exec")
    result.add_argument("--arch", choices=ARCHITECTURES, default="x86",
                        help="the machine (x86); on alpha KERNEL is a vmlinux, or what is loaded like one")
    result.add_argument("--initrd", type=Path, metavar="F", help="its initial ramdisk")
    result.add_argument("--append", default="", metavar="S", help="its command line, taken as it is")
    result.add_argument("--chain", type=natural, default=0, metavar="N",
                        help="the reference kernel execs itself N times before")
    result.add_argument("--paging", choices=PAGINGS, help="the reference kernel's mode of paging (4m)")
    result.add_argument("--copy", choices=("paged", "unpaged"), default="paged",
                        help="whether paging is on while memory is copied (paged)")
    result.add_argument("--entry", choices=ENTRIES, default="auto",
                        help="by which of its entries KERNEL is started (auto: the first that it has)")
    result.add_argument("--target-paging", choices=PAGINGS, metavar="MODE",
                        help="the mode of paging that KERNEL is started in by --entry paged (the reference kernel's)")
    result.add_argument("--above-4g", action="store_true",
                        help="put KERNEL and its initrd above 4 GiB, for --entry linux64 (a file that says itself where "
                             "it belongs goes there), and with them what the exec needs; by --paging 4level or 5level")
    result.add_argument("--flat", type=plain_binary, metavar="AT:VIRTUAL:ENTRY:ZEROS",
                        help="KERNEL is a plain binary: put at physical address AT, with so many ZEROS behind it, and "
                             "started with paging on, mapped at VIRTUAL, ENTRY bytes from its beginning")
    result.add_argument("--cpus", type=processors, default=1, metavar="N", help="processors of the machine (1)")
    result.add_argument("--firmware", choices=FIRMWARES, default="seabios",
                        help="of the machine (seabios); only seabios has BIOS services, which --entry real needs; efi "
                             "starts GRUB, and that the reference kernel")
    result.add_argument("--memory", type=positive(int), metavar="MiB",
                        help=f"of the machine ({MEMORY}, or {MEMORY_ABOVE_4G} with --above-4g)")
    result.add_argument("--timeout", type=positive(float), default=300.0, metavar="S", help="in seconds (300)")
    result.add_argument("--expect", metavar="TEXT", help="stop with success when the target prints this")
    result.add_argument("--try", dest="tries", type=Path, action="append", default=[], metavar="FILE",
                        help="try this image before KERNEL; if it can be exec'd, it is the target (may be repeated)")
    result.add_argument("--reference-kernel", type=Path, metavar="ELF",
                        help="start this file and build nothing")
    return result


def request(args: argparse.Namespace) -> Exec:
    taken = {SELF_NAME}
    images = [named(path, taken) for path in (*args.tries, args.kernel)]
    initrd = named(args.initrd, taken) if args.initrd else None
    return Exec(images, initrd, args.append, args.chain, copy=args.copy, entry=args.entry, above_4g=args.above_4g,
                target_paging=args.target_paging or "", flat=args.flat, cpus=args.cpus)


def to_stdout(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    print(f"boot: {text}", file=sys.stderr)


def only_for_x86(args: argparse.Namespace) -> list[str]:
    """The options that were given and mean nothing on another machine."""
    given = {"--paging": args.paging, "--copy": args.copy != "paged", "--entry": args.entry != "auto",
             "--target-paging": args.target_paging, "--above-4g": args.above_4g, "--flat": args.flat,
             "--firmware": args.firmware != "seabios"}
    return [option for option, value in given.items() if value]


def boot(args: argparse.Namespace) -> int:
    if args.expect == "":
        raise BootError("--expect needs a text")
    if args.arch != "x86" and (meaningless := only_for_x86(args)):
        raise BootError(f"{', '.join(meaningless)}: not with --arch {args.arch}")
    if args.paging and args.reference_kernel:
        raise BootError("--paging chooses a reference kernel, and so does --reference-kernel")
    if args.above_4g and not args.reference_kernel and args.paging not in WIDE_PAGINGS:
        raise BootError(f"--above-4g needs --paging {' or '.join(WIDE_PAGINGS)}")
    if args.flat and args.entry not in ("auto", "paged"):
        raise BootError("--flat is for --entry paged")
    if args.entry == "real" and args.firmware != "seabios":
        raise BootError(f"--entry real needs BIOS services, which --firmware {args.firmware} does not have")
    for path in (args.kernel, args.initrd, *args.tries, args.reference_kernel):
        if path is not None:
            check_readable(path)
    mode = "alpha" if args.arch == "alpha" else args.paging or "4m"
    memory = args.memory or (MEMORY_ABOVE_4G if args.above_4g else MEMORY)
    kernel = args.reference_kernel or build_kernels(mode)[mode]
    machine = {"board": CLIPPER} if args.arch == "alpha" else {"firmware": args.firmware}
    result = run_exec(kernel, request(args), memory=memory, timeout=args.timeout, on_output=to_stdout,
                      expect=None if args.expect is None else args.expect.encode(), **machine)
    if result.transcript.output and not result.transcript.output.endswith(b"\n"):
        to_stdout(b"\n")
    reasons = unmet(result, args.expect)
    for reason in reasons:
        say(reason)
    return EXIT_FAILED if reasons else EXIT_DONE


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    args = parser().parse_args()
    try:
        return boot(args)
    except BootError as error:
        say(str(error))
        return EXIT_USAGE
    except KeyboardInterrupt:
        say("interrupted")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        say("nobody reads standard output any more")
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
