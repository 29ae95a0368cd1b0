#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Count what a kernel exec executes: from the last interrupts-off to the new kernel's first instruction.

For lobos in the reference kernel, and for Linux's kexec as Debian's kexec-tools sets it up. What scripts/bench
instructions runs. Both are counted by QEMU itself, in the same way (tools/debugged.py): every instruction that the
machine executes. Of repeated string instructions, instructions and iterations are told apart: the iterations of lobos
by the counter register at each of them, those of Linux by its list of pages.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import boot
import debugged
import gdbstub
import kit
import overlay_code
from counted import Count, fit, table
from linux_kexec import COMMAND_LINE, ITERATIONS_FOR_A_PAGE, count_kexec
from machine import BootError

UNFAIR = """\
What is not alike in this comparison:

- Purgatory, which kexec adds, computes SHA-256 of everything loaded after the copy. lobos compares checksums before
  the point of no return (commit() reads every staged byte once more, by CRC-32C here), which is not counted; it does
  not verify after the copy. The ratios are therefore given with and without purgatory.
- Staged early, lobos puts the image in place before the point of no return, so that nothing is left to be copied. Linux
  always copies after it. Staged late, lobos copies all of it as Linux does.
- Linux exchanges pages by way of a third: three copies of each. It also copies the zeros up to the kernel's init_size;
  lobos copies what the file has and fills only what the image asks to be zero.
- Linux is counted from the interrupts-off of machine_kexec. It had shut down its devices and switched interrupts off
  for good before: that is given, and not counted. The reference kernel has no devices and no other processors.
- The reference kernel of this run copies in words of {word} bytes, Linux in words of 8: an iteration of a string
  instruction moves as much. Its overlay turns paging off where Linux stays in long mode.
- An instruction is not a unit of time, and one iteration of a string instruction is much less than one instruction."""


def count_lobos(kernel: Path, what: boot.Exec, name: str, memory: int, timeout: float,
                way: Sequence[Path] = ()) -> Count:
    """`kernel` is what QEMU loads. `way` is for other symbols than its own, or for a later exec: the ELF files of the
    kernels that will run, of which the last one's exec is counted."""
    result = Count(name, memory)
    way = way or (kernel,)
    with boot.exec_machine(kernel, what, memory=memory) as machine, debugged.start(machine, counting=True) as session:
        for before in way[:-1]:
            overlay_code.Exec(session, before).to_the_line(timeout)
        overlay_code.Exec(session, way[-1]).count(result, timeout)
        lines = session.transcript.lines
    figures = kit.figures(lines)  # the last report's
    for key in ("steps", "bytes copied", "bytes zeroed", "bytes in place"):
        if key in figures:
            result.facts[key] = figures[key].value
    if sum(result.parts.values()) != result.instructions:
        raise BootError(f"{name}: the parts are {sum(result.parts.values())} instructions, "
                        f"the machine counted {result.instructions}")
    return result


def parts_table(first: str, counts: Sequence[Count]) -> str:
    """`first` names the fact that is shown before the parts; all parts that any of them has, in order."""
    parts = list(dict.fromkeys(part for count in counts for part in count.parts))
    head = ["exec", "MiB", first, *parts, "= instructions", "+ iterations", "= executed"]
    return table(head, [[count.what, count.memory, count.facts.get(first), *(count.parts.get(part) for part in parts),
                         count.instructions, count.iterations, count.total] for count in counts])


def ratio_table(pairs: Sequence[tuple[Count, Count]]) -> str:
    """The same image by both."""
    rows = []
    for lobos, linux in pairs:
        purgatory = linux.parts["purgatory"]
        rows.append((f"{linux.what} / lobos, {lobos.what.rpartition(', ')[2]}",
                     f"{linux.instructions / lobos.instructions:,.0f}",
                     f"{(linux.instructions - purgatory) / lobos.instructions:,.2f}",
                     f"{linux.total / lobos.total:,.0f}",
                     f"{(linux.total - purgatory) / lobos.total:,.2f}"))
    return table(("ratio", "instructions", "without purgatory", "executed", "without purgatory"), rows)


def fit_words(counts: Sequence[Count]) -> str:
    points = [(count.facts["steps"], count.parts["copy loop"]) for count in counts]
    line = fit(points)
    if line is None:
        return "per step: too few numbers of steps for a line"
    worst = max(abs(y - line[0] - line[1] * x) for x, y in points)
    around = sorted({count.instructions - count.parts["copy loop"] - count.parts["the copy"] for count in counts})
    nothing = sorted({y for x, y in points if x == 0})
    words = f"copy loop, outside the copy: {line[0]:,.0f} + {line[1]:.2f} per step, the nearest line to {len(points)} execs, " \
            f"misses none by more than {worst:,.0f}"
    words += "".join(f"; {y} without a step" for y in nothing)
    return words + f"; all around it: {' or '.join(map(str, around))}"


COPY = """\
The copy itself is what moves the bytes of a step whose destination, source and size are in their registers: six
instructions, two of them string instructions, and their iterations. The copy loop is all around that: fetching the step,
telling a fill from a copy, finding out from which end to copy, the trail, the next step, the chain of pages. A large
step that moves up over itself has six instructions for each of its pieces, and eight more around them; a small one goes
by pairs of words, and these instructions count to the loop."""

SELF_FILE = "/boot/itself"  # among the files; an Exec with a chain has it under boot.SELF_NAME


@dataclass
class Plan:
    """What is counted: with how much memory, and with how large an initrd."""

    memory: Sequence[int] = (512, 1024)
    filler: int = 16  # MiB, in the second initrd
    timeout: float = 300.0


def say(text: str) -> None:
    print(f"count_instructions: {text}", file=sys.stderr, flush=True)


def lobos_cases(things: kit.Kit, plan: Plan, quick: bool) -> list[tuple[str, boot.Exec, int]]:
    small, large = plan.memory
    i686, amd64 = things.linux_686.file, things.linux_amd64.file
    kernel = boot.File(SELF_FILE, things.reference_kernel)
    cases = [("686, early", boot.Exec([i686]), small),
             ("itself, early", boot.Exec([kernel]), small),
             ("itself, late", boot.Exec([kernel], late=True), small)]
    if quick:
        return cases
    initrd = things.initramfs().file
    filled = things.initramfs(plan.filler).file
    more = f"+{plan.filler} MiB"
    return [*cases,
            ("686, early", boot.Exec([i686]), large),
            ("itself, late", boot.Exec([kernel], late=True), large),
            ("686, late", boot.Exec([i686], late=True), small),
            ("686, late", boot.Exec([i686], late=True), large),
            ("686, late, not scattered", boot.Exec([i686], late=True, files_in_place=True), small),
            ("amd64+initrd, early", boot.Exec([amd64], initrd, append=COMMAND_LINE), small),
            (f"amd64+initrd {more}, early", boot.Exec([amd64], filled, append=COMMAND_LINE), small),
            ("amd64+initrd, late", boot.Exec([amd64], initrd, append=COMMAND_LINE, late=True), small),
            (f"amd64+initrd {more}, late", boot.Exec([amd64], filled, append=COMMAND_LINE, late=True), small)]


def kexec_cases(things: kit.Kit, plan: Plan) -> list[tuple[str, Path, str, int]]:
    small, large = plan.memory
    initrd, filled = things.initramfs().path, things.initramfs(plan.filler).path
    return [("kexec -c, amd64+initrd", initrd, "-c", small),
            ("kexec -s, amd64+initrd", initrd, "-s", small),
            ("kexec -c, amd64+initrd", initrd, "-c", large),
            (f"kexec -c, amd64+initrd +{plan.filler} MiB", filled, "-c", small)]


def counted(cases, count) -> list[Count]:
    result = []
    for case in cases:
        say(f"counting {case[0]}, {case[-1]} MiB")
        result.append(count(case))
    return result


def report(lobos: Sequence[Count], linux: Sequence[Count], word: int) -> str:
    parts = ["Instructions from interrupts-off to the new kernel's first, each repeated string instruction counted "
             "once and its iterations apart.", COPY, "lobos, reference kernel", parts_table("steps", lobos), fit_words(lobos)]
    if linux:
        parts += ["Linux, as kexec-tools sets it up: -c is kexec_load with kexec-tools' purgatory, -s kexec_file_load "
                  "with the kernel's. Purgatory's own string iterations are counted as instructions.",
                  parts_table("pages", linux)]
        before = linux[0].facts["device shutdown before, not counted"]
        parts += [f"Before that, not counted: {before:,} executed since native_machine_shutdown began."]
        line = fit([(one.facts["pages"], one.parts["swap_pages"]) for one in linux])
        if line:
            parts.append(f"swap_pages: {line[0]:,.0f} + {line[1]:.2f} per page, "
                         f"and {ITERATIONS_FOR_A_PAGE:,} iterations for each")
        pairs = []
        for one in linux:
            image = one.what.partition(", ")[2]
            pairs += [(count, one) for count in lobos
                      if count.what.startswith(image + ",") and count.memory == one.memory]
        parts.append(ratio_table(pairs))
        parts.append(UNFAIR.format(word=word))
    return "\n\n".join(parts)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count the instructions of a kernel exec: lobos's, and Linux's kexec.")
    parser.add_argument("--reference-kernel", type=Path, metavar="ELF", help="start this file and build nothing")
    parser.add_argument("--way", type=Path, action="append", default=[], metavar="ELF",
                        help="the kernels that run before the exec that is counted, and last the one that does it, if "
                             "that is not simply the reference kernel (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="three execs of lobos, none of Linux")
    parser.add_argument("--without-linux", action="store_true", help="lobos alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write what is printed there too")
    return parser.parse_args()


def run(args: argparse.Namespace) -> int:
    plan = Plan()
    things = kit.prepare(args.reference_kernel)
    lobos = counted(lobos_cases(things, plan, args.quick), lambda case: count_lobos(
        things.reference_kernel, case[1], case[0], case[2], plan.timeout, args.way))
    linux = []
    if not (args.quick or args.without_linux):
        tools = boot.things_from("kernels.sh", "kexec-tools")
        linux = counted(kexec_cases(things, plan), lambda case: count_kexec(
            things, tools, things.linux_amd64.image, case[1], case[0], case[2], case[3], plan.timeout))
    word = overlay_code.word_size((args.way or [things.reference_kernel])[-1])
    text = report(lobos, linux, word)
    print(text)
    for path, content in ((args.output, text + "\n"),
                          (args.json, json.dumps([asdict(count) for count in (*lobos, *linux)], indent=1) + "\n")):
        if path:
            path.write_text(content)
    return 0


def main() -> int:
    try:
        return run(arguments())
    except (BootError, gdbstub.StubError) as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
