"""What the demo costs: CPU seconds of making its telemetry, analysing it, and running again.

python -m benchmarks.demonstration [SCALE]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sonde.cli.demonstration import Demonstration
from sonde.run.execute import Done


def measured(what: str, call: Callable[[], object]) -> object:
    before, started = time.process_time(), time.perf_counter()
    result = call()
    cpu, wall = time.process_time() - before, time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<42} {cpu:8.1f} s CPU {wall:8.1f} s {peak:8.0f} MB peak so far")
    return result


def main(scale: float = 1.0) -> None:
    with tempfile.TemporaryDirectory(prefix="sonde-bench-") as folder:
        demo = Demonstration(Path(folder) / "demo", None, scale)
        measured(f"make telemetry, scale {scale:g}", lambda: demo.make(lambda _: None))
        work = demo.work()
        measured(
            f"analyse, {len(work.stale)} steps, one process",
            lambda: [report for report in demo.run(work, 1) if not isinstance(report, Done)],
        )
        again = measured("plan again, nothing to do", demo.work)
        assert getattr(again, "stale", None) == ()
        found = demo.found()
        planted = [finding for finding in found.findings if finding.truth]
        inside = sum(finding.holds_truth for finding in planted)
        print(f"{inside} of {len(planted)} planted effects lie inside their 95 % interval")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
