"""What a file declares, checked key by key and not yet merged with other files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sonde.config.document import Finding, Setting, Table
from sonde.window import Period

Named: TypeAlias = Mapping[str, Table]


@dataclass(frozen=True)
class Spec:
    """Declarations, from one file or from several merged. Never changed once made.

    header: the root keys of an outcome.
    periods: for each period, metric names in order; a name may come twice.
    """

    header: Table = field(default_factory=dict)
    experiment: Table = field(default_factory=dict)
    exposure_signal: Table = field(default_factory=dict)
    periods: Mapping[Period, tuple[Setting, ...]] = field(default_factory=dict)
    metrics: Named = field(default_factory=dict)
    data_sources: Named = field(default_factory=dict)
    segments: Named = field(default_factory=dict)
    segment_data_sources: Named = field(default_factory=dict)
    parameters: Named = field(default_factory=dict)
    functions: Named = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """What a file declares, and what is wrong in it."""

    spec: Spec
    findings: tuple[Finding, ...] = ()

    @property
    def refused(self) -> Iterator[Finding]:
        """The findings that leave a meaning open."""
        return (finding for finding in self.findings if not finding.is_tolerated)

    @property
    def tolerated(self) -> Iterator[Finding]:
        """The findings that are only to be said."""
        return (finding for finding in self.findings if finding.is_tolerated)
