#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause
"""Makes a report of what scripts/bench measured: what is asked of lobos, what it does, and whether that is met.

    bench_report.py [--unjudged] RESULTS OUTPUT

RESULTS is a folder of Google Benchmark's JSON files, one or more for each executable. OUTPUT gets report.md and
report.svg; the table is printed as well. What was not measured is left open, and nothing here fails for being slow.
With --unjudged nothing is said to be met: for runs that only show that the benchmarks run.

Each figure is a median over repetitions, each ratio is of two medians of one run of one executable, and each exponent
is the slope of a least-squares line through logarithms.

The arithmetic is tested: python3 -m doctest tools/bench_report.py
"""

import json
import math
import pathlib
import re
import statistics
import sys

NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
MIB = 1 << 20


def exponent(points):
    """The p of y = c * x^p that fits best; None for fewer than two sizes, or where there is nothing.

    >>> [round(exponent([(x, 7 * x**p) for x in (1, 4, 16, 256)]), 6) for p in (0, 1, 1.5, 2)]
    [0.0, 1.0, 1.5, 2.0]
    >>> round(exponent([(1, 10), (10, 50), (100, 1000)]), 6)  # between points on no line
    1.0
    >>> exponent([(8, 1)]), exponent([]), exponent([(1, 0), (2, 0)])
    (None, None, None)
    """
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len({x for x, _ in logs}) < 2:
        return None
    middle_x = statistics.fmean(x for x, _ in logs)
    middle_y = statistics.fmean(y for _, y in logs)
    spread = sum((x - middle_x) ** 2 for x, _ in logs)
    return sum((x - middle_x) * (y - middle_y) for x, y in logs) / spread


def medians(files):
    """By benchmark, the median of each number over its repetitions; times in nanoseconds.

    >>> run = lambda t: {"name": "a/16", "run_name": "a/16/iterations:1", "run_type": "iteration", "real_time": t,
    ...                  "cpu_time": t / 2, "time_unit": "us", "pages": 3.0}
    >>> mean = {"name": "a/16_mean", "run_name": "a/16", "run_type": "aggregate", "real_time": 99}
    >>> medians([{"benchmarks": [run(1), run(5), run(2), mean]}])
    {'a/16': {'real_time': 2000.0, 'cpu_time': 1000.0, 'pages': 3.0}}
    """
    raw = {}
    for file in files:
        for b in file["benchmarks"]:
            if b.get("run_type") != "iteration" or b.get("error_occurred"):
                continue
            name = re.sub(r"/(iterations|repeats|real_time|process_time)(:\d+)?", "", b["run_name"])
            unit = NANOSECONDS[b["time_unit"]]
            for key, value in b.items():
                if key in ("real_time", "cpu_time"):
                    value *= unit
                elif not isinstance(value, float):
                    continue
                raw.setdefault(name, {}).setdefault(key, []).append(value)
    return {name: {key: statistics.median(all_of) for key, all_of in b.items()} for name, b in raw.items()}


def ratio(a, b):
    return None if a is None or not b else a / b


class Results:
    """Medians, asked for by name; None is what was not measured, here and in everything made of it."""

    def __init__(self, files):
        self.of = medians(files)

    def get(self, name, key):
        return self.of.get(name, {}).get(key)

    def series(self, prefix, key, per=None):
        """(size, value) for all of prefix/SIZE, by size.

        >>> r = Results([]); r.of = {"s/4": {"t": 8.0, "n": 2.0}, "s/16": {"t": 9.0}, "s/x": {"t": 1.0}}
        >>> r.series("s", "t"), r.series("s", "t", "n")
        ([(4, 8.0), (16, 9.0)], [(4, 4.0)])
        """
        points = []
        for name, b in self.of.items():
            at = re.fullmatch(re.escape(prefix) + r"/(\d+)", name)
            if at and key in b and (per is None or b.get(per)):
                points.append((int(at.group(1)), b[key] / (b[per] if per else 1)))
        return sorted(points)

    def rate(self, name):
        return self.get(name, "bytes_per_second")

    def movers(self):
        found = [re.fullmatch(r"copy/(\w+)/(?:64MiB|1GiB)", name) for name in self.of]
        return sorted({m.group(1) for m in found if m} - {"memcpy"})


def text(value, digits=2):
    """
    >>> text(None), text(1.005), text(244178.4, 0), text(0.0)
    ('not measured', '1.00', '244,178', '0.00')
    """
    return "not measured" if value is None else f"{value + 0.0:,.{digits}f}"


class Table:
    def __init__(self, judged=True):
        self.rows = []
        self.verdict = {True: "met", False: "**not met**", None: ""} if judged else {True: "", False: "", None: ""}

    def add(self, what, asked, measured, met=None):
        """`met` is True, False, or None for a row that asks nothing or was not measured."""
        self.rows.append((what, asked, measured, self.verdict[met]))

    def at_most(self, what, value, limit, digits=2, unit=""):
        self.add(what, f"≤ {limit:g}", text(value, digits) + unit, None if value is None else value <= limit)

    def at_least(self, what, value, limit, digits=2, unit=""):
        self.add(what, f"≥ {limit:g}", text(value, digits) + unit, None if value is None else value >= limit)

    def context(self, what, value, digits=2, unit=""):
        self.add(what, "", text(value, digits) + unit)

    def markdown(self):
        """Aligned, so that it reads as well where it is not rendered.

        >>> t = Table(); t.at_most("a", 1.5, 2); t.at_least("b", 1.5, 2); t.context("c", None)
        >>> print(t.markdown())
        | what | asked | measured     |             |
        |------|-------|--------------|-------------|
        | a    | ≤ 2   | 1.50         | met         |
        | b    | ≥ 2   | 1.50         | **not met** |
        | c    |       | not measured |             |
        """
        rows = [("what", "asked", "measured", "")] + self.rows
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
        return "\n".join(lines)


def copy_rows(r, table):
    for size, best_asked, registers_asked in [("64MiB", 1.00, 0.95), ("1GiB", 0.88, 0.62)]:
        memcpy = r.rate(f"copy/memcpy/{size}")
        rates = {m: ratio(r.rate(f"copy/{m}/{size}"), memcpy) for m in r.movers()}
        rates = {m: value for m, value in rates.items() if value is not None and m != "paper_bytes"}
        best = max(rates, key=rates.get, default=None)
        size_name = size.replace("MiB", " MiB").replace("GiB", " GiB")
        table.at_least(f"best copy policy / memcpy, {size_name}", rates.get(best), best_asked, 2,
                       f" ({best})" if best else "")
        table.at_least(f"general registers only / memcpy, {size_name}", rates.get("general_registers"), registers_asked)
        default = rates.get("rep_movs")
        table.context(f"the default, rep_movs / memcpy, {size_name}", default)
        table.context(f"the paper's byte loop / memcpy, {size_name}", ratio(r.rate(f"copy/paper_bytes/{size}"), memcpy))
    for mover in ["non_temporal", "general_registers", "rep_movs", "direct_stores"]:
        worst, where = None, ""
        for name in r.of:
            at = re.fullmatch(rf"copy/{mover}/(64MiB|1GiB)/(\w+)", name)
            value = ratio(r.rate(name), r.rate(f"copy/{mover}/{at.group(1)}")) if at else None
            if value is not None and (worst is None or value < worst):
                worst, where = value, f" ({at.group(2)}, {at.group(1)})".replace("_", " ")
        table.at_least(f"{mover}: worst misaligned or overlapping / aligned forward", worst, 0.90, 2, where)


def planner_rows(r, table):
    def growth(series, key):
        return exponent(r.series(f"planner/{series}", key))

    for series, name in [("image_pages", "image pages, 2^10 to 2^22"), ("memory_bytes", "memory, 64 MiB to 16 TiB"),
                         ("segments", "segments, 1 to 4096"), ("fragments", "fragments, 2^4 to 2^20")]:
        for key, of in [("visits", "steps"), ("cpu_time", "time")]:
            value = growth(series, key)
            what = f"planner, growth exponent of {of}: {name}"
            if series == "memory_bytes":
                table.add(what, "0.00 ± 0.02", text(value), None if value is None else abs(value) <= 0.02)
            else:
                table.at_most(what, value, 1.05 if series == "image_pages" else 1.1)
        if series == "image_pages":
            itself, planned = growth("memory_itself", "cpu_time"), growth(series, "cpu_time")
            table.context("the same of time, for no more than one random look at each note", itself)
            table.context("planner, time beyond that: difference of the exponents",
                          None if itself is None or planned is None else planned - itself)
    million = 1 << 20
    table.at_most("planner, steps per page at 1 Mi fragmented pages",
                  ratio(r.get(f"page_list/steps/{million}", "planner_visits"), million), 24)
    fewer = ratio(r.get(f"page_list/steps/{million}", "steps"), r.get(f"page_list/steps/{million}", "planner_visits"))
    table.at_least("page-list steps / planner steps, the same image", fewer, 500, 0)
    table.context("page list, growth exponent of steps", exponent(r.series("page_list/steps", "steps")))
    table.context("page list, growth exponent of time, 2^10 to 2^16", exponent(r.series("page_list/walk", "cpu_time")))
    table.context("planner, ns per page at 1 Mi fragmented pages",
                  ratio(r.get(f"planner/image_pages/{million}", "cpu_time"), million), 0)


def size_rows(r, table):
    sizes = [b["step_bytes"] / b["runs"] for name, b in r.of.items() if name.startswith("planner/") and b.get("runs")]
    table.at_most("plan, bytes per maximal run, worst of all images", max(sizes, default=None), 24)
    table.context("plan, the same in memory: pages of 170 steps, 1 Mi pages",
                  ratio(r.get(f"verifier/verify/{1 << 20}", "chain_bytes"),
                        r.get(f"planner/image_pages/{1 << 20}", "runs")))
    table.context("plan, bytes for 4 GiB in 16 fragments", r.get("planner/fragments/16", "step_bytes"), 0)


def table_rows(r, table):
    over = [b["over_mapped_bytes"] for b in r.of.values() if "over_mapped_bytes" in b]
    for mode, name in [("4level", "4-level paging, 64 MiB to 16 TiB"), ("4m", "4 MB pages, 64 MiB to 4 GiB")]:
        pages = [n for _, n in r.series(f"clone/{mode}", "table_pages")]
        if mode == "4m":
            table.add(f"table pages for the switch: {name}", "1", text(max(pages, default=None), 0),
                      max(pages) == min(pages) == 1 if pages else None)
        else:
            table.add(f"table pages for the switch: {name}", "constant",
                      f"{min(pages):g} to {max(pages):g}" if pages else text(None),
                      max(pages) == min(pages) if len(pages) > 1 else None)
    table.add("bytes mapped that nobody asked for", "0", text(max(over, default=None), 0), max(over) == 0 if over else None)
    spread = r.series("clone/4level_spread", "table_pages", "fragments")
    table.context("table pages per fragment, spread over all memory, the most", max((n for _, n in spread), default=None))
    clone = [t for _, t in r.series("clone/4level", "cpu_time")]
    table.context("clone, µs, 4-level paging, the most", ratio(max(clone, default=None), 1e3), 0)


def verifier_rows(r, table):
    for size, name in [(1 << 14, "16 Ki"), (1 << 20, "1 Mi")]:
        table.context(f"proving the steps / planning them, {name} fragmented pages",
                      ratio(r.get(f"verifier/verify/{size}", "cpu_time"), r.get(f"verifier/plan/{size}", "cpu_time")), 1)
    table.context("verifier, growth exponent of time: image pages",
                  exponent(r.series("verifier/verify", "cpu_time")))
    memcpy = r.rate("checksum/memcpy/64MiB")
    for name in ["crc32c", "sha256"]:
        rate = r.rate(f"checksum/{name}/64MiB")
        table.context(f"{name} / memcpy, 64 MiB", ratio(rate, memcpy), 2,
                      f" ({rate / MIB:,.0f} MiB/s)" if rate else "")


STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 14px; font-weight: 600; }
.axis { stroke: #59636e; }
.grid { stroke: #59636e; stroke-opacity: 0.25; }
.one { stroke: #1f2328; stroke-dasharray: 4 3; }
.lobos { stroke: #0969da; fill: #0969da; }
.other { stroke: #bc4c00; fill: #bc4c00; }
.line { fill: none; stroke-width: 2; }
.pale { fill-opacity: 0.45; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .axis, .grid { stroke: #9198a1; }
  .one { stroke: #f0f6fc; }
  .lobos { stroke: #4493f8; fill: #4493f8; }
  .other { stroke: #f0883e; fill: #f0883e; }
}
"""


def steps_plot(r, left, top, width, height):
    """Steps per page against pages, both axes logarithmic."""
    out = [f'<text class="title" x="{left}" y="{top - 14}">Steps per page to plan an image that lies in single pages'
           "</text>"]
    series = [("lobos", "lobos", r.series("planner/image_pages", "visits", "pages")),
              ("page list (Linux's algorithm)", "other", r.series("page_list/steps", "steps", "pages"))]
    points = [p for _, _, line in series for p in line]
    if not points:
        return out + [f'<text x="{left}" y="{top + 20}">not measured</text>']
    x_low, x_high = (f(math.log2(x) for x, _ in points) for f in (min, max))
    x_high = max(x_high, x_low + 1)
    y_high = max(2, math.ceil(max(math.log10(y) for _, y in points if y > 0)))

    def at(x, y):
        return (left + (math.log2(x) - x_low) / (x_high - x_low) * width, top + height * (1 - math.log10(y) / y_high))

    for power in range(y_high + 1):
        y = at(2**x_low, 10**power)[1]
        out.append(f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = f"{10**power:,}"
        out.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for power in range(math.ceil(x_low), math.floor(x_high) + 1, 2):
        x = at(2**power, 1)[0]
        name = f"{2**power // 1024} Ki" if power < 20 else f"{2**power >> 20} Mi"
        out.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top + height}" y2="{top + height + 4}"/>')
        out.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{name}</text>')
    out.append(f'<path class="axis" fill="none" d="M{left} {top}V{top + height}H{left + width}"/>')
    out.append(f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle">pages of the image</text>')
    for number, (name, look, line) in enumerate(series):
        places = [at(x, max(y, 1)) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        if places:
            out.append(f'<path class="{look} line" d="M{path}"/>')
        out += [f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
        y = top + 14 + 18 * number
        out.append(f'<rect class="{look}" x="{left + 14}" y="{y - 9}" width="16" height="8"/>')
        out.append(f'<text x="{left + 36}" y="{y}">{name}</text>')
    return out


def copy_plot(r, left, top, width, bar):
    """The aligned forward rate of each mover, memcpy being 1."""
    out = [f'<text class="title" x="{left}" y="{top - 14}">Copy rate, memcpy = 1</text>']
    rows = []
    for mover in sorted(r.movers(), key=lambda m: -(r.rate(f"copy/{m}/64MiB") or 0)):
        for size in ["64MiB", "1GiB"]:
            value = ratio(r.rate(f"copy/{mover}/{size}"), r.rate(f"copy/memcpy/{size}"))
            if value is not None:
                rows.append((mover, size, value))
    if not rows:
        return out + [f'<text x="{left}" y="{top + 20}">not measured</text>'], 40
    names, most = 150, max(1.2, max(v for _, _, v in rows))
    scale = (width - names - 84) / most
    y, before = top, None
    for mover, size, value in rows:
        y += 8 if before not in (None, mover) else 0
        look = "other" if mover == "paper_bytes" else "lobos"
        pale = " pale" if size == "1GiB" else ""
        if before != mover:
            label = "the paper's byte loop" if mover == "paper_bytes" else mover.replace("_", " ")
            out.append(f'<text x="{left}" y="{y + bar - 4}">{label}</text>')
        out.append(f'<rect class="{look}{pale}" x="{left + names}" y="{y}" width="{value * scale:.1f}" height="{bar - 3}"/>')
        size_name = size.replace("MiB", " MiB").replace("GiB", " GiB")
        out.append(f'<text x="{left + names + value * scale + 6:.1f}" y="{y + bar - 5}">{value:.2f}, {size_name}</text>')
        y, before = y + bar, mover
    one = left + names + scale
    out.append(f'<line class="one" x1="{one:.1f}" x2="{one:.1f}" y1="{top - 6}" y2="{y + 4}"/>')
    return out, y - top


def svg(r):
    width, left = 760, 80
    plot = steps_plot(r, left, 44, width - left - 30, 260)
    bars, bars_height = copy_plot(r, 24, 394, width - 48, 18)
    height = 394 + bars_height + 24
    body = "\n".join(plot + bars)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
            f"<title>What lobos costs</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n")


def make(results, output, judged):
    files = [json.loads(file.read_text()) for file in sorted(results.glob("*.json"))]
    r = Results(files)
    table = Table(judged)
    for rows in [copy_rows, planner_rows, size_rows, table_rows, verifier_rows]:
        rows(r, table)
    context = files[0]["context"] if files else {}
    about = (f"Medians; ratios within one run. {context.get('num_cpus', '?')} processors at "
             f"{context.get('mhz_per_cpu', '?')} MHz. Planner steps are looks at one of its notes; page-list steps are "
             "looks at an entry of the list, counted exactly (counting is checked against walking at small sizes).")
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.md").write_text(f"# Benchmarks\n\n{table.markdown()}\n\n{about}\n\n![](report.svg)\n")
    (output / "report.svg").write_text(svg(r))
    return table, bool(r.of)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--unjudged"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    results, output = map(pathlib.Path, arguments)
    table, measured = make(results, output, "--unjudged" not in sys.argv)
    print(table.markdown())
    if not measured:
        sys.exit(f"{results}: no results")


if __name__ == "__main__":
    main()
