"""Jetstream's own statistics on one metric of the scorecard's units.

    python -m benchmarks.scorecard_jetstream FILE METRIC STATISTIC,..

Each class is asked for every reference, as Jetstream does, with the frame that it takes. CPU
seconds are of the classes alone; reading the file is not counted.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandas as pd
    from jetstream import statistics
    from metric_config_parser.metric import AnalysisPeriod
    from mozilla_nimbus_schemas.jetstream import AnalysisBasis

from benchmarks.scorecard_parts import key, spent


def main(path: Path, metric: str, kinds: list[str]) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    covariate = {"metric": metric, "period": "preenrollment_week"}
    made = {
        "linear_model_mean": statistics.LinearModelMean(
            period=AnalysisPeriod.OVERALL, covariate_adjustment=covariate
        ),
        "bootstrap_mean": statistics.BootstrapMean(),
        "deciles": statistics.Deciles(),
        "empirical_cdf": statistics.EmpiricalCDF(),
        "kernel_density_estimate": statistics.KernelDensityEstimate(),
    }
    units = pd.read_parquet(path, columns=["branch", metric, f"{metric}_pre"])
    experiment = SimpleNamespace(normandy_slug="scorecard")
    cpu: dict[str, float] = {}
    found: dict[str, list[float | None]] = {}
    for kind in kinds:
        fresh = units.copy()  # they clip the frame that they are given
        before = spent()
        results = made[kind].apply(fresh, metric, experiment, AnalysisBasis.ENROLLMENTS, "all")
        cpu[kind] = spent() - before
        for each in results:
            found[key(metric, kind, each)] = [each.point, each.lower, each.upper]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    first = units["branch"].unique()[0]  # later references see a frame that is clipped already
    found_of = {"found": found, "first": first, "by_kind": cpu}
    print(json.dumps({"cpu": sum(cpu.values()), "peak": peak} | found_of))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","))
