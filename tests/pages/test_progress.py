"""How far an experiment has come: days, where the end is known, planned, or neither."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sonde.pages.progress import progress
from tests.pages.test_hostile import START, material
from tests.pages.test_verdict import plain


@pytest.mark.parametrize(
    ("planned", "ended", "day", "said"),
    [
        (None, None, 11, ("Day 12", "no planned end", "")),
        (0, None, 11, ("Day 12", "no planned end", "")),
        (28, None, 11, ("Day 12 of 28", "17 days left", "planned end 29 Oct")),
        (28, None, 28, ("Day 29", "not ended", "planned end 29 Oct")),
        (28, None, 40, ("Day 41", "not ended", "planned end 29 Oct")),
        (28, 21, 21, ("21 days", "ended", "22 Oct 2026")),
        (None, 21, 40, ("21 days", "ended", "22 Oct 2026")),
        (28, None, -3, ("Day 0 of 28", "31 days left", "planned end 29 Oct")),
    ],
)
def test_days(planned: int | None, ended: int | None, day: int, said: tuple[str, str, str]):
    shown = material("x")
    record = replace(
        shown.experiment.record,
        proposed_duration=planned,
        end_date=None if ended is None else START + timedelta(ended),
    )
    known = replace(
        shown, experiment=replace(shown.experiment, record=record), as_of=START + timedelta(day)
    )
    *_, days = progress(known, known.cell)
    assert (plain(days.name), days.value, plain(days.note)) == said
