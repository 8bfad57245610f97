"""What is planted in the demo's experiments: eight of them, one lesson each."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


class Rate(enum.StrEnum):
    """A latent rate of a unit that a treatment can change."""

    HOURS = "active hours a day"
    PAGES = "pages an hour"
    SEARCHES = "searches a day"
    AD_CLICKS = "ad clicks a search that showed ads"
    STARTUP = "start-up time"


@dataclass(frozen=True)
class Arm:
    """A branch of an experiment, by slug."""

    experiment: str
    branch: str


@dataclass(frozen=True)
class Effect:
    """A rate of an exposed unit is multiplied by `1 + size`, from the day after its exposure.

    The effect ends when the unit leaves the experiment or the experiment ends.
    os: only on this system. half_life: days since enrollment in which the size halves.
    partner: only while the unit is under that arm's effect, too.
    """

    rate: Rate
    size: float
    os: str | None = None
    half_life: float | None = None
    partner: Arm | None = None

    def describe(self) -> str:
        """The effect in words.

        >>> Effect(Rate.PAGES, -0.15, os=MACOS).describe()
        'pages an hour -15 %, on Darwin'
        """
        words = f"{self.rate} {self.size:+.0%}".replace("%", " %")
        if self.os is not None:
            words += f", on {self.os}"
        if self.half_life is not None:
            words += f", halving every {self.half_life:g} days since enrollment"
        if self.partner is not None:
            words += f", while in {self.partner.branch} of {self.partner.experiment}"
        return words


@dataclass(frozen=True)
class Loss:
    """Enrollment events of `branch` on `os` get lost from `since` on; `share` of them.

    Clients that are rarely active lose more of theirs, so the units that remain differ
    from the other branch's.
    """

    branch: str
    os: str
    since: date
    share: float


@dataclass(frozen=True)
class Lesson:
    """What one experiment teaches.

    enrollment_period: days, where the configuration sets it because enrollment is still open.
    """

    slug: str
    name: str
    text: str
    metric: str
    effects: Mapping[str, tuple[Effect, ...]] = field(default_factory=dict)
    loss: Loss | None = None
    enrollment_period: int | None = None


WINDOWS, MACOS, LINUX = "Windows_NT", "Darwin", "Linux"
DENSE = Arm("new-tab-density", "treatment")

LESSONS = (
    Lesson(
        "aa-october",
        "A/A",
        "Both branches are the same browser. Intervals miss zero as often as they promise to.",
        "active_hours",
    ),
    Lesson(
        "weekly-digest-tab",
        "novelty that fades",
        "Active hours rise at first; half of the rise is gone every four days.",
        "active_hours",
        {"treatment": (Effect(Rate.HOURS, 0.24, half_life=4),)},
    ),
    Lesson(
        "search-as-you-type",
        "clear win",
        "Searches rise by an eighth for those who meet the change. Ad clicks follow.",
        "search_count",
        {"treatment": (Effect(Rate.SEARCHES, 0.12),)},
    ),
    Lesson(
        "prefetch-top-sites",
        "win that breaks a guardrail",
        "Pages rise, and so does start-up time: by more than anyone would accept.",
        "uri_count",
        {"treatment": (Effect(Rate.PAGES, 0.09), Effect(Rate.STARTUP, 0.06))},
    ),
    Lesson(
        "new-tab-density",
        "opposite effects by system",
        "Windows gains pages, macOS loses them, Linux does not care. The average hides it.",
        "uri_count",
        {
            "treatment": (
                Effect(Rate.PAGES, 0.08, os=WINDOWS),
                Effect(Rate.PAGES, -0.16, os=MACOS),
            )
        },
    ),
    Lesson(
        "sponsored-shortcuts",
        "inconclusive",
        "Two treatments change ad clicks by little. More days may tell.",
        "ad_clicks",
        {
            "one-row": (Effect(Rate.AD_CLICKS, 0.01),),
            "two-rows": (Effect(Rate.AD_CLICKS, 0.02),),
        },
    ),
    Lesson(
        "vertical-tabs",
        "two that interact",
        "Active hours rise on their own and fall together with the denser new tab.",
        "active_hours",
        {
            "treatment": (
                Effect(Rate.HOURS, 0.12),
                Effect(Rate.HOURS, -0.19, partner=DENSE),
            )
        },
    ),
    Lesson(
        "sync-prompt-on-exit",
        "broken sample ratio",
        "Nothing changes, but Windows loses enrollments of the treatment from 6 November on.",
        "active_hours",
        loss=Loss("treatment", WINDOWS, date(2026, 11, 6), 0.35),
        enrollment_period=9,
    ),
)
