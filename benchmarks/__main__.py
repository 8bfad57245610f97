"""All measurements: `make bench`."""

from __future__ import annotations

import subprocess
import sys

# Each in a process of its own: peak memory is a process's.
PARTS = (
    "configuration",
    "scorecard",
    "demonstration",
    "runners",
    "incremental",
    "forty",
    "publication",
    "serving",
)


def main() -> None:
    for part in PARTS:
        print(f"\n== {part}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=True)


if __name__ == "__main__":
    main()
