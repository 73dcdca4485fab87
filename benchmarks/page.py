"""Run the benchmarks of promises one after the other, show their tables as they come, and write them on a page.

What `make bench` runs is ``python benchmarks/page.py --write docs/benchmarks.md``.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from joblib import cpu_count

HERE = Path(__file__).parent


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rows; the times mean nothing")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="default: all processors of this process")
    parser.add_argument("--write", type=Path, help="the page; by default tables are shown only")
    args = parser.parse_args()
    common = ["--threads", str(args.threads), *["--quick"] * args.quick]
    parts = ["# Measured\n"]
    for script, *options in (["every_pair.py", *common], ["near_linear.py", *common], ["threads.py"], ["first_use.py"]):
        parts.append(f"\n## `{' '.join(['python', f'benchmarks/{script}', *options])}`\n\n")
        print(parts[-1], flush=True)
        with subprocess.Popen([sys.executable, HERE / script, *options], stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
                parts.append(line)
        if process.returncode:
            raise SystemExit(f"{script} failed")
    if args.write:
        args.write.write_text("".join(parts))


if __name__ == "__main__":
    main()
