"""Which image: Jetstream's rule, on a list."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from sonde.argo.images import Image, Name, in_force, newest
from sonde.errors import ConfigError


def image(name, month, day=1, hour=0, tags=()):
    return Image(name, tags, datetime(2023, month, day, hour, tzinfo=UTC))


FIRST, THIRD = image("8c766a", 1), image("xxxxx", 3)


@pytest.mark.parametrize(
    ("first_day", "chosen"),
    [
        (date(2026, 1, 1), THIRD),
        (date(2023, 2, 1), FIRST),
        (date(2019, 2, 1), FIRST),  # before all: the oldest
    ],
)
def test_the_newest_of_its_day_for_ever(first_day, chosen):
    """Jetstream's own cases: images of January and March."""
    for images in ([FIRST, THIRD], [THIRD, FIRST]):
        assert in_force(images, first_day) == chosen


def test_an_image_made_on_the_first_day_counts():
    """A day is analysed when it is over."""
    late = image("late", 2, 1, 23)
    assert in_force([FIRST, late], date(2023, 2, 1)) == late
    assert in_force([FIRST, late], date(2023, 1, 31)) == FIRST


def test_a_breaking_image_replaces_what_was_in_force():
    breaking = image("xxxxx", 3, tags=("v3", "breaking"))
    assert in_force([FIRST, breaking], date(2023, 1, 1)) == breaking
    assert in_force([FIRST, THIRD], date(2023, 1, 1)) == FIRST


def test_a_breaking_image_is_no_end():
    breaking, after = image("b", 2, tags=("breaking",)), image("c", 3)
    assert in_force([FIRST, breaking, after], date(2023, 1, 1)) == breaking
    assert in_force([FIRST, breaking, after], date(2023, 3, 1)) == after


def test_images_without_a_time_are_not_chosen_by_time():
    undated = Image("?", ("latest",))
    assert in_force([undated, FIRST], date(2026, 1, 1)) == newest([undated, FIRST]) == FIRST
    assert in_force([undated], date(2026, 1, 1)) is newest([]) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("registry.example.org/team/sonde", Name("registry.example.org", "team/sonde")),
        ("localhost:5000/sonde", Name("localhost:5000", "sonde")),
        ("r.io/a@sha256:" + "0" * 64, Name("r.io", "a", "sha256:" + "0" * 64)),
    ],
)
def test_names(text, name):
    assert Name.of(text) == name


@pytest.mark.parametrize(
    "text",
    ["sonde", "team/sonde", "r.io/sonde:v1", "r.io/Sonde", "r.io/a@sha256:0", "https://r.io/a", ""],
)
def test_what_is_not_a_name(text):
    with pytest.raises(ConfigError, match=r"write registry and name.*--image-version"):
        Name.of(text)
