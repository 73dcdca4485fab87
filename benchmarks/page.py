"""Run the benchmarks one after the other, show their tables, and write them on a page.

`make bench` runs ``python benchmarks/page.py --write docs/benchmarks.md``. If that page exists, only what is between
its markers is replaced::

    <!-- table: every_pair, rows: ^MLKR -->     the rows of a benchmark that match a pattern, without their targets
    <!-- versions: every_pair -->               processor and versions of a benchmark
    <!-- end -->

Each row must be on the page exactly once. A new page has all tables, with the targets.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from joblib import cpu_count

HERE = Path(__file__).parent

MARKERS = re.compile(r"(<!-- (table|versions): (\w+)(?:, rows: (.*?))? -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def run(script, *options):
    """Output of a benchmark, which is shown as it comes."""
    lines = []
    with subprocess.Popen([sys.executable, HERE / script, *options], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise SystemExit(f"{script} failed")
    return "".join(lines)


def fill(page, outputs):
    """Replace what is between the markers of a page.

    Parameters
    ----------
    page : str
    outputs : dict of str
        The output of each benchmark, by the name of its script.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If a row is not on the page, or more than once.
    """
    tables = {name: _tables(output) for name, output in outputs.items()}
    used = []

    def replace(match):
        opening, kind, name, pattern, end = match.groups()
        if kind == "versions":
            lines = [line for line in outputs[name].splitlines() if line.startswith(("Processor:", "Versions:"))]
            return opening + "\n" + "  \n".join(lines) + "\n\n" + end
        head, rows = tables[name]
        rows = [row for row in rows if re.search(pattern or "", row.removeprefix("| "))]
        used.extend(rows)
        return opening + "\n" + "\n".join(map(_without_last_column, [*head, *rows])) + "\n\n" + end

    page = MARKERS.sub(replace, page)
    rows = Counter(row for _, rows in tables.values() for row in rows)
    wrong = (rows - Counter(used)) + (Counter(used) - rows)
    if wrong:
        raise ValueError("Each of these rows must match exactly one marker of the page:\n" + "\n".join(wrong))
    return page


def _tables(output):
    """Heading (two lines) and rows of the table of a benchmark."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    return lines[:2], lines[2:]


def _without_last_column(row):
    """A row without its target, which concerns developers only."""
    return row.rpartition("|")[0].rpartition("|")[0] + "|"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rows; the times mean nothing")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="default: all processors of this process")
    parser.add_argument("--write", type=Path, help="the page; by default tables are shown only")
    args = parser.parse_args()
    common = ["--threads", str(args.threads), *["--quick"] * args.quick]
    page, outputs = ["# Benchmarks\n"], {}
    for script, *options in (["every_pair.py", *common], ["near_linear.py", *common], ["threads.py"], ["first_use.py"]):
        heading = f"\n## `{' '.join(['python', f'benchmarks/{script}', *options])}`\n\n"
        print(heading, flush=True)
        outputs[script.removesuffix(".py")] = output = run(script, *options)
        page += heading, output
    if args.write and args.write.exists():
        args.write.write_text(fill(args.write.read_text(), outputs))
    elif args.write:
        args.write.write_text("".join(page))


if __name__ == "__main__":
    main()
