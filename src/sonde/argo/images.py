"""Which image analyses an experiment: the same one for all its life, chosen by its first day."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from sonde.errors import ConfigError

BREAKING = "breaking"  # an image with this tag replaces all older ones
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:\d+)?)/(?P<path>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Image:
    """One image of a repository. time: when it was made; None: it does not say."""

    digest: str
    tags: tuple[str, ...] = ()
    time: datetime | None = None


class Images(Protocol):
    """The images under one name in a registry."""

    def list_images(self) -> Sequence[Image]:
        """All that have a tag."""

    def find(self, version: str) -> Image | None:
        """The image with a tag or digest; its tags and time need not be known."""


@dataclass(frozen=True)
class Name:
    """The name of a repository of images. digest: when one image is named."""

    host: str
    path: str
    digest: str | None = None

    @classmethod
    def of(cls, text: str) -> Name:
        """The parts of `host/path` or `host/path@sha256:..`. Raises ConfigError.

        >>> Name.of("registry.example.org/team/sonde").path
        'team/sonde'
        """
        match = _REFERENCE.fullmatch(text)
        if match is None or not re.search(r"[.:]|^localhost$", match["host"]):
            raise ConfigError(
                f'"{text}" is not the name of an image; write registry and name, as in '
                '"registry.example.org/team/sonde"; a tag goes into --image-version'
            )
        return cls(match["host"], match["path"], match["digest"])

    def pinned(self, digest: str) -> str:
        """The reference to one image, for ever the same."""
        return f"{self.host}/{self.path}@{digest}"

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


def in_force(images: Sequence[Image], first_day: date) -> Image | None:
    """The newest image made on or before a day (UTC); the oldest, when all are younger.

    An image tagged `breaking` replaces those before it, also for experiments that had begun.
    None when no image says when it was made.
    """
    dated = sorted(
        ((image.time, image.digest, image) for image in images if image.time is not None),
        key=lambda each: each[:2],
    )
    if not dated:
        return None
    breaking = [time.date() for time, _, image in dated if BREAKING in image.tags]
    day = max([first_day, *breaking])
    had = [image for time, _, image in dated if time.date() <= day]
    return had[-1] if had else dated[0][2]


def newest(images: Sequence[Image]) -> Image | None:
    """The image made last; None when none says when it was made."""
    return in_force(images, date.max)
