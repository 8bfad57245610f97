"""The applications that experiments run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sonde.experiment import EnrollmentsQueryType


@dataclass(frozen=True)
class Platform:
    """How an application's enrollments are found.

    app_id: stands in when there is no experiment to take it from, as in validation.
    """

    app_id: str | None = None
    enrollments_query_type: EnrollmentsQueryType = EnrollmentsQueryType.GLEAN_EVENT


PLATFORMS: Mapping[str, Platform] = MappingProxyType(
    {
        "firefox_desktop": Platform("firefox-desktop", EnrollmentsQueryType.NORMANDY),
        "fenix": Platform("fenix"),  # a dataset that joins all channels
        "firefox_ios": Platform("org.mozilla.ios.FirefoxBeta"),
        "focus_android": Platform("org.mozilla.focus"),
        "klar_android": Platform("org.mozilla.klar"),
        "focus_ios": Platform("org.mozilla.ios.Focus"),
        "klar_ios": Platform("org.mozilla.ios.Klar"),
        "monitor_cirrus": Platform(None, EnrollmentsQueryType.CIRRUS),
    }
)
