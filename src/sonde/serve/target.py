"""From the address a browser asks for to the files of the site that may answer it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

from sonde.table import folder_name

INDEX = "index.html"
API = "api"
_ANSWERS = {"statistics", "errors", "health"}
_NAMED = {"experiments", "metrics"}


@dataclass(frozen=True)
class Candidate:
    """A file that may be meant. moved_to: where to send the reader if it is there."""

    path: str
    moved_to: str | None = None


def segments(raw_path: bytes) -> tuple[str, ...] | None:
    """The parts between slashes, each decoded once; None when it is no address of ours.

    A part may hold anything, even a slash: it may be a slug.

    >>> segments(b"/experiments/a%2Fb%20c")
    ('experiments', 'a/b c')
    >>> segments(b"/"), segments(b"//other.example"), segments(b"/a/%2e%2E/b"), segments(b"/%FF")
    ((), None, None, None)
    """
    if raw_path == b"/":
        return ()
    first, *parts = raw_path.split(b"/")
    try:
        decoded = tuple(urllib.parse.unquote_to_bytes(part).decode() for part in parts)
    except UnicodeDecodeError:
        return None
    lost = any(part in {"", ".", ".."} or "\0" in part for part in decoded)
    return None if first or not parts or lost else decoded


def confined(path: str) -> bool:
    r"""Whether a path of the site stays below its folder, on every system.

    >>> confined("api/experiments.json")
    True
    >>> [confined(path) for path in ("../x", "/x", "a//b", "a\\b", "a/./b", "a\0", "", "C:x")]
    [False, False, False, False, False, False, False, False]
    """
    parts = path.split("/")
    return not any(part in {"", ".", ".."} for part in parts) and not set("\\\0:") & set(path)


def candidates(parts: tuple[str, ...]) -> Iterator[Candidate]:
    """What may be meant, the most literal first.

    >>> [each.path for each in candidates(("api", "experiments", "a/b", "errors"))][-1]
    'api/experiments/a%2Fb-c14cddc0/errors.json'
    """
    if not parts:
        yield Candidate(INDEX)
        return
    path = "/".join(parts)
    literal = confined(path) and not any("/" in part for part in parts)
    if literal:
        yield Candidate(path)
    match parts:
        case ("api", "experiments"):
            yield Candidate("api/experiments.json")
        case ("api", "experiments", slug):
            yield Candidate(f"api/experiments/{folder_name(slug)}.json")
        case ("api", "experiments", slug, answer) if answer in _ANSWERS:
            yield Candidate(f"api/experiments/{folder_name(slug)}/{answer}.json")
        case (place, slug) if place in _NAMED:
            page = f"{folder_name(slug)}.html"
            yield Candidate(f"{place}/{page}", _relative(page))
        case _ if literal:
            yield Candidate(f"{path}.html", _relative(f"{parts[-1]}.html"))


def address(parts: tuple[str, ...]) -> str:
    """The address of some parts, each encoded whole.

    >>> address(()), address(("experiments", "a/b"))
    ('/', '/experiments/a%2Fb')
    """
    return "/" + "/".join(urllib.parse.quote(part, safe="") for part in parts)


def _relative(name: str) -> str:
    # Relative, so that it is right below any prefix a proxy puts before; `./` because a name with
    # a colon would read as a scheme.
    return "./" + urllib.parse.quote(name, safe="")
