"""Unknown types that become known as they are used: union-find over columns and expressions."""

from __future__ import annotations

import re

from sonde.sql.schemas import Array, Scalar, Struct, Type

# When uses disagree, the first of these that was seen is taken.
_STRONGER = (
    Scalar.JSON,
    Scalar.TIMESTAMP,
    Scalar.DATE,
    Scalar.NUMERIC,
    Scalar.FLOAT64,
    Scalar.INT64,
    Scalar.BOOL,
    Scalar.STRING,
    Scalar.TIME,
)
_BY_NAME = (
    (r".*_date|date|day", Scalar.DATE),
    (r".*timestamp|.*_time|.*_at", Scalar.TIMESTAMP),
    (r"(is|has)_.*", Scalar.BOOL),
    (r"(.*_)?counts?(_.*)?|.*_sum|n_.*|.*seconds.*|sample_id", Scalar.INT64),
)


class Unknown:
    """A type to be found out. `name`: of the column or field, for want of better evidence."""

    __slots__ = ("_element", "_fields", "_hint", "_kind", "_parent", "name")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._parent: Unknown | None = None
        self._kind: Scalar | None = None
        self._hint: Scalar | None = None
        self._fields: dict[str, Unknown] = {}
        self._element: Unknown | None = None

    def root(self) -> Unknown:
        """The representative of all that is known to be of the same type."""
        node = self
        while node._parent is not None:
            node = node._parent
        return node

    def is_known(self) -> bool:
        """Whether any use says something of it."""
        root = self.root()
        return bool(root._kind or root._hint or root._fields or root._element)

    def must_be(self, kind: Type) -> Unknown:
        """A use that leaves no doubt."""
        match kind:
            case Scalar():
                root = self.root()
                known = {root._kind, kind}
                root._kind = next(k for k in _STRONGER if k in known)
            case Array(element):
                self.element().must_be(element)
            case Struct(fields):
                for name, of in fields:
                    self.field(name).must_be(of)
        return self

    def may_be(self, kind: Scalar) -> Unknown:
        """A use that several types allow, this one most likely."""
        root = self.root()
        if root._hint is None or (root._hint, kind) == (Scalar.INT64, Scalar.FLOAT64):
            root._hint = kind
        return self

    def field(self, name: str) -> Unknown:
        """A part of a struct; of JSON too, until it is known to be JSON."""
        return self.root()._fields.setdefault(name.lower(), Unknown(name))

    def field_names(self) -> tuple[str, ...]:
        """The parts seen so far, in lower case."""
        return tuple(self.root()._fields)

    def element(self) -> Unknown:
        """Of an array."""
        root = self.root()
        if root._element is None:
            root._element = Unknown()
        return root._element

    def same_as(self, other: Unknown) -> Unknown:
        """Both are of one type from now on."""
        mine, its = self.root(), other.root()
        if mine is its:
            return mine
        its._parent = mine
        mine.name = mine.name or its.name
        if its._kind is not None:
            mine.must_be(its._kind)
        if its._hint is not None:
            mine.may_be(its._hint)
        for name, field in its._fields.items():
            mine.root().field(name).same_as(field)
        if its._element is not None:
            mine.root().element().same_as(its._element)
        return mine.root()

    def resolved(self, depth: int = 0) -> Type:
        """The type, as far as it is known; by its name, or STRING, where nothing is."""
        root = self.root()
        if root._kind is Scalar.JSON or depth > 8:
            return root._kind or Scalar.STRING
        if root._element is not None:
            return Array(root._element.resolved(depth + 1))
        if root._fields:
            parts = ((f.name, f.resolved(depth + 1)) for f in root._fields.values())
            return Struct(tuple(sorted(parts, key=lambda part: part[0])))
        return root._kind or root._hint or by_name(self.name or root.name)


def by_name(name: str) -> Scalar:
    """What a column's name says of its type.

    >>> by_name("submission_date").name
    'DATE'
    """
    for pattern, kind in _BY_NAME:
        if re.fullmatch(pattern, name.lower()):
            return kind
    return Scalar.STRING
