"""Random rows for inferred tables: values that the SQL compares with, NULLs, broken text."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlglot import exp, parse_one

from sonde.sql.calls import gather_names
from sonde.sql.schemas import Array, Scalar, Struct, Type

UNITS = [f"unit-{i:02}" for i in range(32)]
DAYS = 44
_COMPARES = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between),
    *(exp.Like, exp.RegexpLike, exp.StartsWith, exp.Contains),
)
_OPERATING_SYSTEMS = ("Windows_NT", "Windows_NT", "Darwin", "Linux", "iOS", "Android")
SLUG = "some-slug"
_SLUGS = (SLUG, "other-slug", "third-slug")
_DATE = re.compile(r"20\d\d-\d\d-\d\d")


@dataclass
class Vocabulary:
    """The literals of some SQL: what they are compared with, by the last name of the column."""

    compared: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    texts: list[str] = field(default_factory=lambda: ["x"])
    json_keys: list[tuple[str, ...]] = field(default_factory=list)
    histograms: set[str] = field(default_factory=set)  # columns that hold serialised histograms
    numbers: set[str] = field(default_factory=set)  # text and JSON that is cast to a number
    booleans: set[str] = field(default_factory=set)
    lists: set[str] = field(default_factory=set)  # text that is split at commas
    parsed: set[str] = field(default_factory=set)  # text that is read as a date and a time
    start: date = date(2024, 1, 1)

    @classmethod
    def of(cls, snippets: Iterable[str]) -> Vocabulary:
        made = cls()
        dates = []
        for text in snippets:
            dates += _DATE.findall(text)
            made._read(gather_names(parse_one(f"SELECT {text}", dialect="bigquery")))
        if dates:
            made.start = date.fromisoformat(min(dates)) - timedelta(days=10)
        return made

    def _read(self, tree: exp.Expr) -> None:
        for node in tree.find_all(exp.Literal, exp.RawString):
            if isinstance(node, exp.RawString) or node.is_string:
                self._text(node)
        for node in tree.find_all(exp.JSONPath):
            keys = tuple(str(k.this) for k in node.expressions if isinstance(k, exp.JSONPathKey))
            self.json_keys.append(keys)
        for node in tree.find_all(exp.Bracket):
            if node.expressions[0].is_string:
                self.json_keys.append((node.expressions[0].name,))
        for node in tree.find_all(exp.JSONExtractScalar, exp.String, exp.JSONBool):
            if isinstance(node.this, exp.Column):
                self.json_keys.append(tuple(part.name for part in node.this.parts[1:]))
        for node in tree.find_all(exp.Anonymous):
            if "hist" in str(node.name):
                self.histograms.update(_columns(*node.expressions))
        for node in tree.find_all(exp.Split):
            self.lists.update(_columns(node.this))
        for node in tree.find_all(exp.ParseDatetime, exp.StrToDate, exp.StrToTime):
            self.parsed.update(_columns(node.this))
        for node in tree.find_all(exp.Cast):
            if node.to.this is exp.DType.BOOLEAN:
                self.booleans.update(_columns(node.this))
            if node.to.this in (exp.DType.BIGINT, exp.DType.INT, exp.DType.DOUBLE):
                self.numbers.update(_columns(node.this))
                paths = node.this.find_all(exp.JSONPath)
                self.numbers.update(str(path.expressions[-1].this) for path in paths)

    def _text(self, node: exp.Expr) -> None:
        value = node.name.replace("\\", "")
        if isinstance(node.parent, exp.Like):
            value = value.replace("%", "y").replace("_", "_")
        if isinstance(node.parent, exp.RegexpLike):
            value = re.sub(r"[\^\$\(\)\*\+\?]", "", value.split("|")[0])
        self.texts.append(value)
        if isinstance(node.parent, _COMPARES):
            for column in node.parent.find_all(exp.Column, exp.Dot):
                self.compared[column.name.lower()].append(value)


def _columns(*nodes: exp.Expr) -> set[str]:
    return {c.name.lower() for node in nodes for c in node.find_all(exp.Column, exp.Dot)}


class Filler:
    """Makes rows. The same seed and vocabulary give the same rows."""

    def __init__(self, vocabulary: Vocabulary, seed: int) -> None:
        self.words = vocabulary
        self.random = random.Random(seed)

    def row(self, columns: dict[str, Type], ids: set[str], dates: set[str]) -> dict[str, Any]:
        return {name: self._column(name, kind, ids, dates) for name, kind in columns.items()}

    def _column(self, name: str, kind: Type, ids: set[str], dates: set[str]) -> Any:
        if name.lower() in ids and kind is Scalar.STRING:
            return None if self.random.random() < 0.04 else self.random.choice(UNITS)
        if name.lower() in dates and kind in {Scalar.DATE, Scalar.TIMESTAMP}:
            return self._scalar(name, kind)
        return self.value(name, kind, ids)

    def value(self, name: str, kind: Type, ids: set[str] = frozenset()) -> Any:
        if self.random.random() < 0.1:
            return None
        match kind:
            case Struct(fields):
                return {n: self._column(n, k, ids, set()) for n, k in fields}
            case Array(Struct(fields)) if {n.lower() for n, _ in fields} == {"key", "value"}:
                return self._map(name, dict(fields))
            case Array(element):
                return [self.value(name, element, ids) for _ in range(self.random.randrange(4))]
            case _:
                return self._scalar(name, kind)

    def _map(self, name: str, fields: dict[str, Type]) -> list[dict[str, Any]]:
        keys = self.random.sample(sorted(set(self.words.texts)), min(4, len(set(self.words.texts))))
        if name.lower() == "experiments":
            keys = [slug for slug in _SLUGS if self.random.random() < 0.6]
        if fields["key"] is not Scalar.STRING:
            keys = list(range(4))
        if name.lower() in self.words.histograms:
            return [{"key": k, "value": self._histogram()} for k in keys]
        if name.lower() in self.words.numbers and fields["value"] is Scalar.STRING:
            return [{"key": k, "value": str(self.random.randrange(20))} for k in keys]
        return [{"key": k, "value": self.value(str(k), fields["value"])} for k in keys]

    def _scalar(self, name: str, kind: Type) -> Any:
        choose = self.random
        match kind:
            case Scalar.INT64:
                return choose.randrange(20)
            case Scalar.FLOAT64:
                return choose.randrange(2000) / 100
            case Scalar.NUMERIC:
                return Decimal(choose.randrange(2000)) / 100
            case Scalar.BOOL:
                return choose.random() < 0.5
            case Scalar.DATE:
                return self._day()
            case Scalar.TIMESTAMP:
                return datetime.combine(self._day(), datetime.min.time()) + timedelta(
                    seconds=choose.randrange(86400)
                )
            case Scalar.JSON:
                return self._json(name)
            case _:
                return self._string(name)

    def _day(self) -> date:
        return self.words.start + timedelta(days=self.random.randrange(DAYS))

    def _string(self, name: str) -> str:
        name = name.lower()
        if name in self.words.histograms:
            return self._histogram()
        if (special := self._special(name)) is not None and "build" not in name:
            return special
        if candidates := self.words.compared.get(name):
            return self.random.choice([*candidates, "x"])
        if name == "os":
            return self.random.choice(_OPERATING_SYSTEMS)
        if name == "os_version":
            return self.random.choice(["10.0", "6.1", "6.2"])
        if name == "app_build":
            return self.random.choice(["21571434", "2015757667", "30011200"])
        if "build" in name:
            return self._day().strftime("%Y%m%d") + "094500"
        if "version" in name:
            return f"{self.random.randrange(80, 150)}.0.1"
        return self.random.choice([*self.words.texts, str(self.random.randrange(50))])

    def _special(self, name: str) -> str | None:
        if name in self.words.numbers:
            return str(self.random.randrange(20))
        if name in self.words.booleans:
            return self.random.choice(["true", "FALSE"])
        if name in self.words.lists:
            return ",".join(str(self.random.randrange(9)) for _ in range(4))
        if name in self.words.parsed:
            return self._day().isoformat() + "+02:00"
        return None

    def _histogram(self) -> str:
        form = self.random.randrange(6)
        a, b = self.random.randrange(50), self.random.randrange(50)
        if form == 0:
            return f"{a},{b}"
        if form == 1:
            return str(a)
        values = {str(k): self.random.randrange(30) for k in (0, 1, 3, 8)}
        if form == 2:
            pairs = ",".join(f"{k}:{v}" for k, v in values.items())
            return f"10;1;{a};1,100;{pairs}"
        return json.dumps(
            {"bucket_count": 10, "histogram_type": 1, "sum": a, "range": [1, 100], "values": values}
        )

    def _json(self, name: str) -> str:
        if name.lower() in self.words.histograms or "histogram" in name.lower():
            return self._histogram()
        if self.random.random() < 0.03:
            return '{"broken'
        made: dict[str, Any] = {}
        if name.lower() == "event_extra" and self.random.random() < 0.8:
            made = {"experiment": self.random.choice(_SLUGS), "branch": "control"}
        for keys in self.words.json_keys:
            inner = made
            for key in keys[:-1]:
                inner = inner.setdefault(key, {})
                if not isinstance(inner, dict):
                    break
            if keys and isinstance(inner, dict) and self.random.random() < 0.9:
                inner.setdefault(keys[-1], self._json_value(keys[-1]))
        return json.dumps(made)

    def _json_value(self, name: str) -> Any:
        if name.lower() in self.words.numbers:
            return self.random.randrange(20)
        if name.lower() in self.words.booleans:
            return self.random.random() < 0.5
        if candidates := self.words.compared.get(name.lower()):
            return self.random.choice(candidates)
        return self.random.choice([*self.words.texts, str(self.random.randrange(50)), "true"])
