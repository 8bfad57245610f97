"""A token, as HTTP carries it."""

from __future__ import annotations

import requests


class Bearer(requests.auth.AuthBase):
    """Sends the token with every request.

    As a header of the session it would give way to what `~/.netrc` has for the host.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request, with the token."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
