"""What metrics and outcomes are called and mean, beside the numbers; and where they come from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from sonde.errors import DataError
from sonde.experiment import Overrides
from sonde.metric import AnalysisBasis
from sonde.window import Period
from sonde.wire.names import METRIC_HUB
from sonde.wire.provenance import Provenance
from sonde.wire.statistics import SCHEMA_VERSION

if TYPE_CHECKING:
    from sonde import experiment as declared
    from sonde import metric as declared_metric


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric, for people."""

    analysis_bases: tuple[AnalysisBasis, ...]
    bigger_is_better: bool
    description: str | None = None
    friendly_name: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome, for people. commit_hash: the last change of its file."""

    commit_hash: str | None = None
    default_metrics: tuple[str, ...] | None
    description: str
    friendly_name: str
    metrics: tuple[str, ...]
    slug: str


class ExternalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says in place of the experimentation platform."""

    reference_branch: str | None = None
    end_date: date | None = None
    start_date: date | None = None
    enrollment_period: int | None = None
    skip: bool | None = None
    url: str


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A program or a repository, and which revision of it."""

    path: str | None = None
    revision: str | None = None


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What made the results. The program has the field that readers know, whatever its name."""

    metric_definitions: tuple[Version, ...] | None = None
    jetstream_image: Version | None = None


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata file. version_date: of the newest commit of the configuration."""

    analysis_start_time: datetime | None = None
    external_config: ExternalConfig | None = None
    metrics: dict[str, Metric]
    outcomes: dict[str, Outcome] = {}
    version_info: Versions | None = None
    version_date: datetime | None = None
    schema_version: int = SCHEMA_VERSION
    provenance: Provenance | msgspec.UnsetType = msgspec.UNSET


def metadata_json(
    experiment: declared.Experiment,
    analysis_start: datetime | None = None,
    provenance: Provenance | None = None,
    config_url: str = METRIC_HUB,
) -> bytes:
    """The metadata file of an experiment.

    analysis_start: when the newest analysis began, with its time zone; readers fetch results
    again when it is later than what they have. config_url: the folder that shows
    `<slug>.toml` to people.
    """
    return msgspec.json.encode(
        Metadata(
            analysis_start_time=_utc(analysis_start),
            external_config=_external_config(experiment, config_url),
            metrics=_metrics(experiment),
            outcomes={outcome.slug: _outcome(outcome) for outcome in experiment.outcomes},
            version_info=_versions(provenance),
            version_date=_version_date(provenance),
            provenance=provenance or msgspec.UNSET,
        )
    )


def read_metadata(content: bytes) -> Metadata:
    """A metadata file, ours or another program's. Raises DataError."""
    try:
        return msgspec.json.decode(content, type=Metadata)
    except msgspec.DecodeError as error:
        raise DataError(f"this is not a file of metadata: {error}") from error


def _metrics(experiment: declared.Experiment) -> dict[str, Metric]:
    return {
        metric.name: _metric(metric)
        for period in Period
        for metric in experiment.metrics.get(period, ())
    }


def _metric(metric: declared_metric.Metric) -> Metric:
    return Metric(
        analysis_bases=metric.analysis_bases,
        bigger_is_better=metric.bigger_is_better,
        description=metric.description or "",
        friendly_name=metric.friendly_name or metric.name.replace("_", " ").title(),
    )


def _outcome(outcome: declared.Outcome) -> Outcome:
    return Outcome(
        commit_hash=outcome.commit_hash,
        default_metrics=outcome.default_metrics,
        description=outcome.description,
        friendly_name=outcome.friendly_name,
        metrics=outcome.metrics,
        slug=outcome.slug,
    )


def _external_config(experiment: declared.Experiment, config_url: str) -> ExternalConfig | None:
    overrides = experiment.overrides
    if overrides == Overrides():
        return None
    return ExternalConfig(
        reference_branch=overrides.reference_branch,
        end_date=overrides.end_date,
        start_date=overrides.start_date,
        enrollment_period=overrides.enrollment_period,
        skip=experiment.skip,
        url=f"{config_url.rstrip('/')}/{quote(experiment.slug)}.toml",
    )


def _versions(provenance: Provenance | None) -> Versions | None:
    if provenance is None:
        return None
    return Versions(
        metric_definitions=tuple(
            Version(path=read.path, revision=read.revision) for read in provenance.configuration
        ),
        jetstream_image=Version(path="sonde", revision=provenance.sonde),
    )


def _version_date(provenance: Provenance | None) -> datetime | None:
    reads = provenance.configuration if provenance else ()
    return _utc(max((read.committed for read in reads if read.committed), default=None))


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC)
