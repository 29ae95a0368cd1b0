#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""The paper's comparison of three systems [lobos/2000 §5.3], measured: LOBOS, bootimg and Two Kernel Monte as they are
compositions of this library, each from the reference kernel with 4 MB pages, every byte of the image copied late.

    tools/compare_systems.py [--write]

Prints a table in Markdown; with --write it also takes the place of the one in docs/systems.md. What scripts/bench
systems runs.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import boot
import kit
from machine import BootError, End

ROOT = boot.ROOT
PAGE = ROOT / "docs/systems.md"
BEGIN, END = "<!-- table: scripts/bench systems -->\n", "<!-- /table -->"
COMPILER = ["g++-12", "-std=c++23", "-m32", "-isystem", "/usr/include/x86_64-linux-gnu", "-I", "include", "-I",
            "arch/x86"]


@dataclass(frozen=True)
class System:
    name: str
    header: str
    contract: str  # the headers of what it boots here
    way: str  # as tests/static/overlay-object names it, from a 32-bit kernel
    copy: str
    entry: str


SYSTEMS = [
    System("LOBOS", "lobos", "lobos/image/elf.hpp lobos/x86/paged_entry.hpp", "as-running", "paged", "paged"),
    System("LOBOS, to Linux", "lobos", "lobos/image/bzimage.hpp lobos/x86/linux32_entry.hpp", "flat-32", "paged",
           "linux32"),
    System("bootimg", "bootimg", "lobos/image/bzimage.hpp lobos/x86/linux32_entry.hpp", "flat-32-unpaged", "unpaged",
           "linux32"),
    System("Two Kernel Monte", "two_kernel_monte", "lobos/x86/linux16_entry.hpp", "real-16-unpaged", "unpaged", "real"),
]


def output_of(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def code_lines(path: Path) -> int:
    """Lines that are neither empty nor a comment."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return sum(1 for line in lines if line and not line.startswith("//"))


def headers(system: System) -> list[Path]:
    """All of the library's that a kernel reaches which is made of this system."""
    source = "".join(f"#include <{header}>\n" for header in
                     [f"lobos/systems/{system.header}.hpp", *system.contract.split(), "lobos/machine/processor.hpp"])
    done = subprocess.run([*COMPILER, "-MM", "-x", "c++", "-"], cwd=ROOT, input=source, check=True, capture_output=True,
                          text=True)
    return sorted({Path(name) for name in done.stdout.replace("\\\n", " ").split() if name.endswith(".hpp")})


def way_of(system: System) -> dict[str, int]:
    """The pieces of the overlay on its way, and their bytes."""
    for line in output_of("tests/static/overlay-object", "--sizes").splitlines():
        if line.startswith(f"32-bit kernel, {system.way}:"):
            return {name: int(size) for name, size in re.findall(r"(\w+) (\d+)(?:, |$)", line.split(": ", 2)[2])}
    raise BootError(f"no way is called {system.way}")


def instructions_of(kernel: Path, pieces: list[str]) -> int:
    """Of these pieces, as objdump reads them."""
    places = {}
    for line in output_of("nm", "--defined-only", str(kernel)).splitlines():
        value, _, name = line.split()
        places[name] = int(value, 16)
    count = 0
    for piece in pieces:
        code = output_of("objdump", "-d", "-w", f"--start-address={places[f'lobos_x86_{piece}']}",
                         f"--stop-address={places[f'lobos_x86_{piece}_end']}", str(kernel))
        count += len(re.findall(r"^ *[0-9a-f]+:\t", code, re.MULTILINE))
    return count


def figures_of(things: kit.Kit, system: System) -> dict[str, kit.Figure]:
    """What the reference kernel reports of such an exec, which has to arrive."""
    kernel = things.kernels["4m"]
    if system.entry == "paged":
        what = boot.Exec([boot.File("/boot/image", kernel)], late=True, copy=system.copy, entry=system.entry)
        result = boot.run_exec(kernel, what, timeout=120)
        arrived = b"reference kernel, generation" in result.transcript.target_output
    else:
        initramfs = things.initramfs()
        what = boot.Exec([things.linux_686.file], initrd=initramfs.file, append="console=ttyS0", late=True,
                         copy=system.copy, entry=system.entry)
        result = boot.run_exec(kernel, what, timeout=120)
        arrived = result.end is End.POWERED_OFF
    if not arrived:
        raise BootError(f"{system.name}: {result.reason}")
    return kit.generations(result.transcript)[0].figures()


def column(things: kit.Kit, system: System) -> dict[str, str]:
    reached = headers(system)
    about = [path for path in reached if "x86" in path.parts or "systems" in path.parts]
    way = way_of(system)
    assembly = [name for name in way if name not in ("copy", "copy_32")]
    told = figures_of(things, system)
    number: Callable[[int], str] = "{:,}".format
    return {
        "code it reaches, lines": number(sum(map(code_lines, reached))),
        "of these about x86": number(sum(map(code_lines, about))),
        "assembly on its way, instructions": number(instructions_of(things.kernels["4m"], assembly)),
        "all code in safe memory, guard apart, bytes": number(sum(way.values())),
        "page tables, bytes": number(told["page-table bytes"].value),
        "steps": number(told["steps"].value),
        "safe regions": number(told["safe regions"].value),
        "bytes copied": number(told["bytes copied"].value),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the three systems of the paper.", allow_abbrev=False)
    parser.add_argument("--write", action="store_true", help="into docs/systems.md, too")
    args = parser.parse_args()
    try:
        things = kit.prepare()
        columns = [column(things, system) for system in SYSTEMS]
    except BootError as error:
        print(f"scripts/bench systems: {error}", file=sys.stderr)
        return 1
    table = "| | " + " | ".join(system.name for system in SYSTEMS) + " |\n|---|" + "---:|" * len(SYSTEMS) + "\n"
    for row in columns[0]:
        table += f"| {row} | " + " | ".join(each[row] for each in columns) + " |\n"
    print(table, end="")
    if args.write:
        text = PAGE.read_text()
        before, rest = text.split(BEGIN)
        PAGE.write_text(before + BEGIN + table + END + rest.split(END, 1)[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
