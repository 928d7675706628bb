"""How long every command takes to answer -h and a wrong flag, cold start included.

    python -m benchmarks.start_up [--repeat 5]

Prints the median wall time of each command in seconds, and the slowest.
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


def median_seconds(command: str, flag: str, repeat: int) -> float:
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        subprocess.run([str(Path(sys.executable).parent / command), flag], capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the answers to -h and to a wrong flag.")
    parser.add_argument("--repeat", type=int, default=5)
    repeat = parser.parse_args().repeat
    slowest = 0.0
    print(f"{'command':40s}      -h   --wrong")
    for command in commands():
        row = [median_seconds(command, flag, repeat) for flag in ("-h", "--wrong")]
        slowest = max(slowest, *row)
        print(f"{command:40s} {row[0]:7.3f}   {row[1]:7.3f}", flush=True)
    print(f"slowest: {slowest:.3f} s")


if __name__ == "__main__":
    main()
