"""What one declaration over another means. Pure: nothing that goes in is changed.

Where a key is present above, it wins, whatever its value; an empty table is only a header.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import replace

from sonde.config.document import Table
from sonde.config.spec import Named, Spec
from sonde.window import Period

_WILDCARD = re.compile(r"[*?\[]")
_DEFINABLE = re.compile(r"[a-zA-Z0-9_]+")


def merge(base: Spec, over: Spec) -> Spec:
    """`over` on top of `base`: an experiment over its platform's defaults, say.

    Metrics, data sources and parameters merge key by key, segments are replaced whole, and lists
    of metrics are joined: nothing leaves a list.
    """
    return replace(
        base,
        experiment=merge_tables(base.experiment, over.experiment),
        exposure_signal=over.exposure_signal or base.exposure_signal,
        periods={
            period: over.periods.get(period, ()) + base.periods.get(period, ()) for period in Period
        },
        metrics=merge_named(base.metrics, over.metrics),
        data_sources=merge_named(base.data_sources, over.data_sources),
        segments={**base.segments, **over.segments},
        segment_data_sources={**base.segment_data_sources, **over.segment_data_sources},
        parameters=merge_parameters(base.parameters, over.parameters),
        functions={**base.functions, **over.functions},
    )


def merge_outcome(spec: Spec, outcome: Spec) -> Spec:
    """An outcome below `spec`: what `spec` says of the outcome's metrics stands."""
    return merge(replace(outcome, header={}), spec)


def merge_tables(base: Table, over: Table) -> Table:
    """Key by key."""
    return {**base, **{key: setting for key, setting in over.items() if setting.value != {}}}


def merge_named(base: Named, over: Named) -> dict[str, Table]:
    """Table by table. A name above may have wildcards: it applies to each name below it matches.

    A wildcard name defines nothing by itself.
    """
    has_wildcards = any(_WILDCARD.search(name) for name in over)
    merged: dict[str, Table] = {}
    for name, table in base.items():
        merged[name] = table
        for pattern in over if has_wildcards else (name,):
            if pattern in over and (pattern == name or fnmatch.fnmatchcase(name, pattern)):
                merged[name] = merge_tables(merged[name], over[pattern])
    for name, table in over.items():
        if name not in merged and _DEFINABLE.fullmatch(name):
            merged[name] = table
    return merged


def merge_parameters(base: Named, over: Named) -> dict[str, Table]:
    """Parameter by parameter, key by key."""
    merged = dict(base)
    for name, table in over.items():
        merged[name] = merge_tables(base.get(name, {}), table)
    return merged
