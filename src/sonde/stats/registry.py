"""Statistics by the name that configurations use.

Those of this package and those of others come the same way: as entry points of the group
"sonde.statistics", each a name and a class that is a `Statistic`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib import metadata

from sonde.stats.binomial import Binomial
from sonde.stats.bootstrap import BootstrapMean
from sonde.stats.curves import EmpiricalCdf, KernelDensityEstimate
from sonde.stats.deciles import Deciles
from sonde.stats.linear import LinearModelMean, LinearModelMeanNoClip, PerClientDauImpact
from sonde.stats.ratio import PopulationRatio
from sonde.stats.statistic import Statistic, nearest
from sonde.stats.totals import Count, Sum

GROUP = "sonde.statistics"

BUILT_IN: tuple[type[Statistic], ...] = (
    Binomial,
    BootstrapMean,
    Count,
    Deciles,
    EmpiricalCdf,
    KernelDensityEstimate,
    LinearModelMean,
    LinearModelMeanNoClip,
    PerClientDauImpact,
    PopulationRatio,
    Sum,
)


class _Registry(Mapping[str, type[Statistic]]):
    """Loaded when first asked: reading entry points takes longer than starting a command."""

    @functools.cached_property
    def _types(self) -> dict[str, type[Statistic]]:
        types = {each.name: each for each in BUILT_IN}
        for entry in metadata.entry_points(group=GROUP):
            loaded = entry.load()
            if types.setdefault(entry.name, loaded) is not loaded:
                raise ValueError(f'two statistics are called "{entry.name}": see {entry.value}')
        return dict(sorted(types.items()))

    def __getitem__(self, name: str) -> type[Statistic]:
        return self._types[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)


STATISTICS: Mapping[str, type[Statistic]] = _Registry()


def statistic(name: str, params: Mapping[str, object]) -> Statistic:
    """The statistic that a configuration asks for. ValueError names what is wrong.

    >>> statistic("linear_model_mean", {"drop_highest": 0}).label
    'mean_lm'
    >>> statistic("linear_mean", {})
    Traceback (most recent call last):
    ValueError: no statistic "linear_mean"; did you mean "linear_model_mean"?
    """
    if name not in STATISTICS:
        raise ValueError(f'no statistic "{name}"{nearest(name, STATISTICS)}')
    return STATISTICS[name].from_params(params)
