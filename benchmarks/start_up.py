"""How long every command takes to answer -h and a wrong flag, cold start included.

    python -m benchmarks.start_up [--repeat 5] [--upstream UPSTREAM_PYTHON]

Prints the median wall time of each command in seconds, and the slowest. With --upstream also how long upstream's
command of the same name takes to answer -h, where it has one.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from importlib.metadata import distribution
from pathlib import Path


def commands() -> list[str]:
    """Names of the installed nnUNetv2 commands."""
    return sorted(e.name for e in distribution("nnunetv2").entry_points if e.group == "console_scripts")


def median_seconds(command: str, flag: str, repeat: int, python: Path) -> float | None:
    """None where the environment of ``python`` has no such command."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        try:
            subprocess.run([str(python.parent / command), flag], capture_output=True)
        except FileNotFoundError:
            return None
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the answers to -h and to a wrong flag.")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--upstream", type=Path, help="python of the environment with upstream nnunetv2 2.8.1")
    arguments = parser.parse_args()
    slowest = 0.0
    print(f"{'command':40s}      -h   --wrong" + ("  upstream -h" if arguments.upstream else ""))
    for command in commands():
        row = [median_seconds(command, f, arguments.repeat, Path(sys.executable)) or 0.0 for f in ("-h", "--wrong")]
        slowest = max(slowest, *row)
        other = arguments.upstream and median_seconds(command, "-h", arguments.repeat, arguments.upstream)
        print(f"{command:40s} {row[0]:7.3f}   {row[1]:7.3f}" + (f"      {other:7.3f}" if other else ""), flush=True)
    print(f"slowest: {slowest:.3f} s")


if __name__ == "__main__":
    main()
