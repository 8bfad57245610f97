"""What goes to Argo: the experiments with something to do, each in its image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from sonde.argo.connection import TOKEN
from sonde.argo.images import Image, Images, Name, in_force, newest
from sonde.argo.registry import Registry
from sonde.argo.server import ARGO_SERVER, CLUSTER, Server
from sonde.argo.settings import Argo
from sonde.argo.workflow import WORKERS, Publication, Task, of_workers, workflows
from sonde.errors import ConfigError, Place
from sonde.run.runner import LEAST

if TYPE_CHECKING:
    from sonde.kept import Kept
    from sonde.project import Work


@dataclass(frozen=True)
class Submission:
    """Manifests, and slugs that cannot be handed to Argo."""

    tasks: tuple[Task, ...]
    manifests: tuple[dict[str, Any], ...]
    left_out: tuple[str, ...] = ()


def prepare(work: Work, argo: Argo, environment: Mapping[str, str]) -> Submission:
    """The workflows that do what is to be done, and publish it. Asks the registry for images."""
    _check_memory(argo)
    name = _name(argo)
    as_of = work.plan.as_of
    slugs = dict.fromkeys(
        [*(step.slug for step in work.stale), *(gone.key[0] for gone in work.obsolete)]
    )
    left_out = tuple(slug for slug in slugs if "{{" in slug)  # Argo would read it as a template
    starts = {each.slug: _first_day(each) or as_of for each in work.kept}
    wanted = {slug: starts[slug] for slug in slugs if slug not in left_out}
    digests = _digests(wanted, name, argo.image_version, Registry(name, environment))
    tasks = tuple(Task(slug, as_of, name.pinned(digests.of_each[slug])) for slug in wanted)
    publication = Publication(as_of, name.pinned(digests.of_publication))
    return Submission(tasks, tuple(workflows(tasks, publication, argo)), left_out)


def _first_day(kept: Kept) -> date | None:
    """The day from which the experiment keeps what it is analysed with, its image too."""
    return kept.resolved.experiment.start_date if kept.pin is None else kept.pin.since


def connect(argo: Argo, environment: Mapping[str, str]) -> Server:
    """The Argo server or the cluster of the settings, with the token of the environment."""
    if argo.server and argo.cluster:
        raise ConfigError(
            f"`server` ({argo.server}) and `cluster` ({argo.cluster}) are both set under [argo], "
            "here or in the environment; leave one of them out"
        )
    address = argo.server or argo.cluster
    if address is None:
        raise ConfigError(
            "no Argo server is set; write its address as `server` under [argo] in sonde.toml, or "
            "that of the cluster's API as `cluster` (--dry-run needs none)"
        )
    api = ARGO_SERVER if argo.server else CLUSTER
    token = environment.get(TOKEN, "").strip()
    if not token:
        raise ConfigError(
            f"there is no token for {api.words.who}; set {TOKEN} to one (`{api.words.renewal}`)"
        )
    return Server(api, address, argo.namespace, token, argo.ca_file)


def _check_memory(argo: Argo) -> None:
    """Refuse at once what every task would refuse on the cluster."""
    least = LEAST * argo.cpu
    if of_workers(argo.memory) < least:
        raise ConfigError(
            f'"{argo.memory}" is too little for {argo.cpu} workers, one a core, which may hold '
            f'three quarters of it; write "{math.ceil(least / WORKERS)}MB" or more, or lower `cpu`',
            Place("sonde.toml", key="argo.memory"),
        )


@dataclass(frozen=True)
class Digests:
    """Which image analyses each experiment, and which one publishes."""

    of_each: Mapping[str, str]
    of_publication: str


def _name(argo: Argo) -> Name:
    if argo.image is None:
        raise ConfigError(
            "no image is set; write one as `image` under [argo] in sonde.toml, or use --image"
        )
    name = Name.of(argo.image)
    if name.digest and argo.image_version:
        raise ConfigError(
            f"{argo.image} names its version already; leave the image's version out in one place"
        )
    return name


def _digests(
    starts: Mapping[str, date], name: Name, version: str | None, images: Images
) -> Digests:
    """starts: first day of enrollment, by slug. An image with a digest is taken as it is named."""
    if name.digest:
        return Digests(dict.fromkeys(starts, name.digest), name.digest)
    if version is not None:
        found = images.find(version)
        if found is None:
            raise ConfigError(
                f'there is no image {name} with the tag or digest "{version}"; push it, or correct '
                "--image-version or `image_version` under [argo] in sonde.toml"
            )
        return Digests(dict.fromkeys(starts, found.digest), found.digest)
    known = images.list_images()
    by_slug = {slug: _dated(in_force(known, start), name) for slug, start in starts.items()}
    return Digests(by_slug, _dated(newest(known), name))


def _dated(image: Image | None, name: Name) -> str:
    if image is None:
        raise ConfigError(f"no image {name} says when it was made; choose one with --image-version")
    return image.digest


def said(tasks: Sequence[Task]) -> Iterator[str]:
    """One line an image: who is analysed in it."""
    by_image: dict[str, list[str]] = {}
    for task in tasks:
        by_image.setdefault(task.image, []).append(task.slug)
    for image, slugs in by_image.items():
        yield f"{image}: {', '.join(slugs)}"
