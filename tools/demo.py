#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""The main job, to watch: a running kernel replaces itself in memory by Debian's Linux, once i386 and once amd64; or, on
an Alpha, by a Linux built of Debian's source.

What scripts/demo runs. Of two serial lines it shows what is worth seeing, then a picture of memory and a table.
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import boot
import kit
from machine import CLIPPER, BootError, Result

CHAIN = 2
MEMORY = 512  # MiB
TIMEOUT = 180.0  # seconds for each kernel
WIDTH = 110  # of what is shown of one line, when it is no terminal that says
LOG_LINES = 14  # of a surviving log that are shown at most
LOG_LINES_SHOWN = re.compile(r"reference kernel, |exec |fault: |point of no return|report: ")
PICTURE_ROWS = 26
CELL = 27  # columns of one side of the picture


# Colour --------------------------------------------------------------------------------------------------------------


class Style(dict):
    """Names of things, and the escape sequences for them; without colour all are empty."""

    CODES = {"title": "1", "stage": "36", "line": "1;33", "new": "1;32", "log": "35", "bad": "1;31", "dim": "2",
             "old kernel": "31", "staged": "33", "safe": "36", "file": "37", "new kernel": "32", "initrd": "34"}

    def __init__(self, colour: bool) -> None:
        super().__init__({name: f"\033[{code}m" if colour else "" for name, code in self.CODES.items()})
        self.end = "\033[0m" if colour else ""

    def __call__(self, name: str, text: str) -> str:
        return f"{self.get(name, '')}{text}{self.end}" if self.get(name) else text


def wants_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


# The lines worth seeing ----------------------------------------------------------------------------------------------

# What the reference kernel says, by the beginning of the line, and the stage this is. An empty replacement keeps all.
STAGES = (
    (r"reference kernel, ", "kernel", "line"),
    (r"memory: ", "memory", "stage"),
    (r"log: ", "log", "log"),
    (r"exec ", "exec", "stage"),
    (r"loaded: ", "loaded", "stage"),
    (r"planned: ", "planned", "stage"),
    (r"verified: ", "verified", "stage"),
    (r"staged: ", "staged", "stage"),
    (r"(?=point of no return)", "commit", "line"),
    (r"(?=(?:kernel|initrd|stopped)\b)", "", "bad"),
    (r"fault: ", "fault", "bad"),
    (r"(?=still running|nothing left)", "", "bad"),
)

# The same of the new kernel and its user space.
TARGET = (
    (r"(?:\[ *[\d.]+\] )?(?=Linux version )", "new kernel", "new"),
    (r"(?:\[ *[\d.]+\] )?(?=Run /init )", "user space", "new"),
    (r"init: (?=(?:kernel|cmdline|checksum): )", "user space", "new"),
    (r"(?:\[ *[\d.]+\] )?(?=reboot: Power down)", "the end", "new"),
    (r"(?:\[ *[\d.]+\] )?(?=Kernel panic)", "panic", "bad"),
)


def match_rule(rules: Iterable[tuple[str, str, str]], line: str) -> tuple[str, str, str] | None:
    for pattern, label, style in rules:
        if match := re.match(pattern, line):
            return label, style, line[match.end():]
    return None


@dataclass
class Narrator:
    """Shows a serial line as it comes, one labelled line at a time."""

    style: Style
    execs: int
    passed: int = 0
    pending: bytes = b""
    in_log: bool = False
    fresh: bool = False  # another speaks from here on
    log: list[str] = field(default_factory=list)

    def add(self, data: bytes) -> None:
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self.line(line.rstrip(b"\r").decode(errors="replace"))

    def line(self, line: str) -> None:
        if self.passed < self.execs:
            self.own_line(line)
        elif self.in_log:
            self.log_line(line)
        elif line == "init: surviving log":
            self.in_log = True
        elif rule := match_rule(TARGET, line):
            self.show(*rule)

    def own_line(self, line: str) -> None:
        if not line.startswith("lobos: "):
            return
        said = line.removeprefix("lobos: ")
        if rule := match_rule(STAGES, said):
            self.show(*rule)
        if said.startswith("point of no return"):
            self.passed += 1
            self.fresh = True

    def log_line(self, line: str) -> None:
        if line != "init: powering off":
            self.log.append(line)
            return
        self.in_log = False
        self.show("the log", "log", f"{len(self.log)} lines survived, these among them:")
        for text in abridged([text for text in self.log if LOG_LINES_SHOWN.match(text)], LOG_LINES):
            self.show("", "log", "│ " + text)

    def show(self, label: str, style: str, text: str) -> None:
        if self.fresh:
            print()
            self.fresh = False
        clipped = clip(text, shutil.get_terminal_size((WIDTH, 0)).columns - 15)
        print(f"  {self.style(style, f'{label:<11}')} {self.style(style, clipped) if style != 'stage' else clipped}",
              flush=True)


def clip(text: str, width: int) -> str:
    return text if len(text) <= width else text[:width - 1] + "…"


def abridged(lines: list[str], most: int) -> list[str]:
    """Its first and its last lines, if there are too many."""
    if len(lines) <= most:
        return lines
    head, tail = (most - 1) // 2, most - 1 - (most - 1) // 2
    return [*lines[:head], f"... {len(lines) - head - tail} lines ...", *lines[-tail:]]


# The picture of memory -----------------------------------------------------------------------------------------------


def size_of(count: int) -> str:
    for unit, shift in (("G", 30), ("M", 20), ("K", 10)):
        if count >= 1 << shift:
            value = count / (1 << shift)
            return f"{value:.0f} {unit}" if value >= 10 or value == int(value) else f"{value:.1f} {unit}"
    return f"{count} B"


@dataclass
class Row:
    first: int
    last: int
    before: str
    after: str

    @property
    def size(self) -> int:
        return self.last - self.first + 1


def what_lies(stretches: list[kit.Stretch], first: int, last: int) -> str:
    """What covers these bytes, the smallest thing first, since a bigger one may only span it."""
    over = [stretch for stretch in stretches if stretch.first <= first and stretch.last >= last]
    over.sort(key=lambda stretch: stretch.last - stretch.first)
    return over[0].what if over else ""


def rows(before: list[kit.Stretch], after: list[kit.Stretch]) -> list[Row]:
    """Memory cut at every boundary of both pictures; neighbours that hold the same become one."""
    everything = before + after
    cuts = sorted({stretch.first for stretch in everything} | {stretch.last + 1 for stretch in everything})
    result: list[Row] = []
    for first, following in zip(cuts, cuts[1:]):
        last = following - 1
        row = Row(first, last, what_lies(before, first, last), what_lies(after, first, last))
        if result and (result[-1].before, result[-1].after) == (row.before, row.after):
            result[-1].last = last
        else:
            result.append(row)
    return result


def one_screen(table: list[Row], most: int) -> list[Row]:
    """Joins the two smallest neighbours until it fits; the bigger of them gives its name."""
    table = list(table)
    while len(table) > most:
        at = min(range(len(table) - 1), key=lambda i: table[i].size + table[i + 1].size)
        left, right = table[at], table[at + 1]
        table[at:at + 2] = [Row(left.first, right.last, joined(left, right, "before"), joined(left, right, "after"))]
    return table


def joined(left: Row, right: Row, when: str) -> str:
    names = [name for name in (getattr(left, when), getattr(right, when)) if name]
    return " | ".join(dict.fromkeys(names))


def short(what: str) -> str:
    """So that it fits: a file by the last part of its path."""
    what = re.sub(r"^file .*/", "file ", what)
    return re.sub(r", scattered over (\d+ pages)", r" (\1)", what)


def style_of(what: str) -> str:
    """By what a name begins with; what else an exec brings along is a part of the new kernel's."""
    return next((name for name in ("old kernel", "staged", "safe", "log", "file", "initrd") if what.startswith(name)),
                "new kernel")


def cell(style: Style, what: str, width: int) -> str:
    text = clip(f"█ {short(what)}" if what else "·", width)
    return style(style_of(what) if what else "dim", text) + " " * (width - len(text))


def picture(style: Style, generation: kit.Generation) -> list[str]:
    table = one_screen(rows(generation.picture("before"), generation.picture("after")), PICTURE_ROWS)
    if not table:
        return []
    lines = [f"  {'address':<10}  {'size':>7}  {'before':<{CELL}}  after"]
    for row in table:
        cells = f"{cell(style, row.before, CELL)}  {cell(style, row.after, CELL)}"
        lines.append(f"  {row.first:#010x}  {size_of(row.size):>7}  {cells}".rstrip())
    return [*lines, style("dim", "  · neither read nor written by the exec")]


# The table -----------------------------------------------------------------------------------------------------------

COUNTS = ("bytes copied", "bytes zeroed", "bytes skipped", "bounced bytes", "steps", "page-table bytes", "safe regions")
STAGE_TIMES = ("read", "load", "plan", "verify", "stage", "copy")


def figure(figures: dict[str, kit.Figure], key: str, milliseconds: bool) -> str:
    if key not in figures:
        return "-"
    value = figures[key].value
    return f"{value / 1000:.2f} ms" if milliseconds else f"{value:,}"


def table(columns: dict[str, dict[str, kit.Figure]]) -> list[str]:
    keys = [(key, False) for key in COUNTS] + [(key, True) for key in STAGE_TIMES]
    lines = [f"  {'':<18}" + "".join(f"{name:>20}" for name in columns)]
    for key, milliseconds in keys:
        cells = [figure(figures, key, milliseconds) for figures in columns.values()]
        if any(text != "-" for text in cells):
            lines.append(f"  {key:<18}" + "".join(f"{text:>20}" for text in cells))
    return lines


# The demo ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A Linux to be execed, and the reference kernel that does it."""

    version: str
    origin: str  # whose it is
    kernel: Path
    image: boot.File
    initramfs: kit.Initramfs
    log_expected: bool
    machine: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """What became of one target."""

    version: str
    generations: list[kit.Generation]
    log: list[str]  # as its user space found it
    complaints: list[str]

    def figures(self) -> dict[str, kit.Figure]:
        """Of the exec of it; how long the copy took only those know who came after."""
        return (self.generations[-1].figures() if self.generations else {}) | kit.figures(self.log)


def complaints(result: Result, checksum: str, log_expected: bool) -> list[str]:
    """Why this is not what the demo promises."""
    found = boot.unmet(result, None)
    if found:
        return found
    lines = result.transcript.lines
    log = kit.surviving_log(lines)
    if kit.said(lines, "checksum") != checksum:
        found.append("its initramfs did not arrive as it was: the checksum differs")
    if log_expected and not all(any(f"generation {number}" in line for line in log) for number in range(CHAIN + 1)):
        found.append("the log of the earlier generations did not survive")
    return found


def show_target(style: Style, target: Target) -> Shown:
    print(style("title", f"\nThe reference kernel execs itself {CHAIN} times, then {target.origin} {target.version}"))
    what = boot.Exec([target.image], target.initramfs.file, "console=ttyS0 lobos=demo", CHAIN, ask_for="linux-6.1")
    narrator = Narrator(style, CHAIN + 1)
    result = boot.run_exec(target.kernel, what, memory=MEMORY, timeout=TIMEOUT, on_output=narrator.add, **target.machine)
    found = complaints(result, target.initramfs.checksum, target.log_expected)
    for complaint in found:
        print(f"  {style('bad', 'failed')}      {complaint}")
    return Shown(target.version, kit.generations(result.transcript), kit.surviving_log(result.transcript.lines), found)


def last_screen(style: Style, shown: list[Shown]) -> None:
    columns = {}
    for target in shown:
        for generation in target.generations[:1]:
            columns.setdefault("itself", generation.figures())
        columns[target.version] = target.figures()
    with_picture = [target for target in shown if target.generations and target.generations[-1].picture("before")]
    if with_picture:
        target = with_picture[0]
        print(style("title", f"\nMemory before and after the exec of {target.version}"))
        print("\n".join(picture(style, target.generations[-1])))
    print(style("title", "\nWhat each exec took"))
    print("\n".join(table(columns)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", allow_abbrev=False,
        description="Watch a running kernel replace itself in memory by an unmodified Debian Linux kernel, i386 and "
                    "then amd64; or, on an Alpha, by a Linux that is built of Debian's source, which takes some "
                    "minutes the first time. Installs, fetches and builds what is missing. Exit status 0 if all "
                    "reached user space, found the log that survived, and powered off.")
    parser.add_argument("--arch", choices=boot.ARCHITECTURES, default="x86", help="the machine (x86)")
    parser.add_argument("--reference-kernel", type=Path, metavar="ELF", help="start this file and build nothing")
    parser.add_argument("--log-tool", type=Path, metavar="FILE", help="the lobos-log that belongs to it")
    return parser.parse_args()


def targets(args: argparse.Namespace) -> list[Target]:
    if args.arch == "alpha":
        if args.reference_kernel or args.log_tool:
            raise BootError("--reference-kernel, --log-tool: not with --arch alpha")
        alpha = kit.prepare_alpha(with_linux=True)
        return [Target(alpha.version, "Linux", alpha.kernel, alpha.file, alpha.initramfs(), True, {"board": CLIPPER})]
    things = kit.prepare(args.reference_kernel, args.log_tool)
    return [Target(linux.version, "Debian's", things.reference_kernel, linux.file, things.initramfs(),
                   things.log_tool is not None) for linux in (things.linux_686, things.linux_amd64)]


def demo() -> int:
    args = arguments()
    style = Style(wants_colour())
    shown = [show_target(style, target) for target in targets(args)]
    last_screen(style, shown)
    failed = [target for target in shown if target.complaints]
    good = len(shown) - len(failed)
    print(style("bad" if failed else "new", f"\n{good} of {len(shown)} kernels came up to user space and powered off"))
    return boot.EXIT_FAILED if failed else boot.EXIT_DONE


def main() -> int:
    try:
        return demo()
    except BootError as error:
        print(f"demo: {error}", file=sys.stderr)
        return boot.EXIT_USAGE
    except KeyboardInterrupt:
        return boot.EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
