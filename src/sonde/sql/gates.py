"""What an aggregate asks of the enrollment, taken out of it.

Partial aggregates of a unit's day serve all experiments, so they cannot mention the enrollment row
`e`. Within a unit's day, though, `e` and the day are constant: a condition on them alone, a gate,
holds for all rows or for none, and is decided when days are merged. `COUNTIF(g AND h)` is
`COUNTIF(h)` on days where g holds, and 0 on others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sqlglot import exp

from sonde.sql.duck import wrapped
from sonde.sql.jsons import dotted

UNIT = "e"
# Columns of the enrollment row, known by these names without their alias too.
ENROLLMENT = frozenset(
    {"analysis_id", "branch", "enrollment_date", "exposure_date", "num_enrollment_events"}
    | {"num_exposure_events", "analysis_window_start", "analysis_window_end"}
)
_ALWAYS_KNOWN = frozenset({"analysis_id", "branch", "enrollment_date", "num_enrollment_events"})
# Of the window or the basis, not of the unit: unknown when days are merged.
_OF_WINDOW = frozenset(
    {"analysis_window_start", "analysis_window_end", "exposure_date", "num_exposure_events"}
)
_PREDICATES = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.And, exp.Or, exp.Not, exp.Between, exp.In, exp.Is, exp.Like, exp.RegexpLike),
)
# Never NULL when no part is.
_STRICT = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.And, exp.Or, exp.Not, exp.Between, exp.In),
    *(exp.Paren, exp.Literal, exp.Var, exp.Interval, exp.Add, exp.Sub, exp.Identifier),
    *(exp.Date, exp.DateAdd, exp.DateSub, exp.DateDiff),
)
_MOST_CHOICES = 16


class Entangled(Exception):
    """The aggregate mixes rows and enrollment in a way that cannot be parted."""


@dataclass(frozen=True)
class Choice:
    """What to aggregate, by a gate. unknown: where the gate is NULL; None if that cannot matter."""

    gate: exp.Expr
    holds: Argument
    fails: Argument
    unknown: Argument | None


Argument: TypeAlias = "exp.Expr | Choice"


@dataclass(frozen=True)
class Day:
    """How an expression names the day of a row; None: it has no name for it."""

    column: exp.Expr | None

    def is_named_by(self, node: exp.Expr) -> bool:
        """Whether the node is the day, whatever the case of its letters."""
        return self.column is not None and node.sql().lower() == self.column.sql().lower()

    def named_in(self, node: exp.Expr) -> list[exp.Expr]:
        """The outermost nodes that are the day."""
        return list(_outermost(node, self.is_named_by))


def factored(argument: exp.Expr, day: Day, *, truth: bool) -> Argument:
    """The argument of an aggregate, parted by its gates. Raises Entangled.

    Each part mentions no enrollment, or no row. truth: NULL counts as FALSE.
    """
    holder = exp.Paren(this=_normal(argument.copy(), day))
    made = _factored(holder, day, truth=truth)
    if _size(made) > _MOST_CHOICES:
        raise Entangled("its conditions on the enrollment are too many")
    return made


def _factored(holder: exp.Paren, day: Day, *, truth: bool) -> Argument:
    argument = _simplified(holder)
    if not mentions_unit(argument) or is_constant(argument, day) or conditional(argument, day):
        return argument
    gates = list(_outermost(argument, lambda node: _is_gate(node, day)))
    if not gates:
        raise Entangled("it compares rows with the enrollment")
    gate = gates[0]
    in_doubt = not _never_null(gate, day) and not all(
        _counts_as_false(same, truth=truth) for same in gates if same == gate
    )

    def where(value: exp.Expr) -> Argument:
        return _factored(_substituted(holder, gate, value), day, truth=truth)

    unknown = where(exp.Null()) if in_doubt else None
    return Choice(gate.copy(), where(exp.true()), where(exp.false()), unknown)


def _size(made: Argument) -> int:
    if not isinstance(made, Choice):
        return 1
    branches = (made.holds, made.fails, made.unknown)
    return sum(_size(branch) for branch in branches if branch is not None)


def mentions_unit(node: exp.Expr) -> bool:
    """Whether the node mentions the enrollment row. Raises Entangled for parts of a window's."""
    names = [names for column in node.find_all(exp.Column) if (names := _of_unit(column))]
    if any(name in _OF_WINDOW for name in names):
        raise Entangled("it depends on the window or on the exposure")
    return bool(names)


def _of_unit(column: exp.Column) -> str:
    names = dotted(column) or []
    own = len(names) > 1 and names[0].name.lower() == UNIT
    return names[1].name.lower() if own else ""


def unit_columns(node: exp.Expr) -> frozenset[str]:
    """The columns of the enrollment row that the node mentions."""
    return frozenset(name for c in node.find_all(exp.Column) if (name := _of_unit(c)))


def is_constant(node: exp.Expr, day: Day) -> bool:
    """Whether the node is the same for all rows of a unit's day."""
    if node.find(exp.Query, exp.Lambda, exp.Star) is not None:
        return False
    days = {id(part) for outer in day.named_in(node) for part in outer.walk()}
    return all(id(column) in days or _of_unit(column) for column in node.find_all(exp.Column))


def conditional(argument: exp.Expr, day: Day) -> tuple[exp.Expr, exp.Expr] | None:
    """Condition and value of `IF(condition on rows, value of the unit's day, NULL)`."""
    match argument:
        case exp.Case(this=None) if len(argument.args["ifs"]) == 1:
            branch, otherwise = argument.args["ifs"][0], argument.args.get("default")
        case exp.If():
            branch, otherwise = argument, argument.args.get("false")
        case _:
            return None
    condition, value = branch.this, branch.args["true"]
    is_null = otherwise is None or isinstance(otherwise, exp.Null)
    if is_null and not mentions_unit(condition) and is_constant(value, day):
        return condition, value
    return None


def _outermost(node: exp.Expr, holds: Callable[[exp.Expr], bool]) -> Iterator[exp.Expr]:
    for found in node.walk(prune=holds):
        if holds(found):
            yield found


def _is_gate(node: exp.Expr, day: Day) -> bool:
    condition = isinstance(node, _PREDICATES) or _is_condition(node)
    return condition and mentions_unit(node) and is_constant(node, day)


def _is_condition(node: exp.Expr) -> bool:
    return isinstance(node.parent, exp.If) and node.arg_key == "this"


def _never_null(gate: exp.Expr, day: Day) -> bool:
    """Known from the kinds of its parts: a row has its day, a unit its branch and enrollment."""
    days = {id(part) for outer in day.named_in(gate) for part in outer.walk()}
    return all(
        id(node) in days
        or isinstance(node, _STRICT)
        or (isinstance(node, exp.Column) and _of_unit(node) in _ALWAYS_KNOWN)
        for node in gate.walk()
    )


def _counts_as_false(gate: exp.Expr, *, truth: bool) -> bool:
    """Whether the gate stands where NULL does what FALSE does: in a condition, below AND and OR."""
    node = gate
    while isinstance(node.parent, exp.And | exp.Or | exp.Paren):
        node = node.parent
    return truth if node.parent is None else _is_condition(node)


def _substituted(holder: exp.Paren, gate: exp.Expr, value: exp.Expr) -> exp.Paren:
    made = holder.copy()
    for node in list(_outermost(made, lambda node: node == gate)):
        node.replace(value.copy())
    return made


def _normal(argument: exp.Expr, day: Day) -> exp.Expr:
    """`CASE x WHEN a ..` as `CASE WHEN x = a ..`, and the constant terms of AND and OR together."""
    holder = exp.Paren(this=argument)
    for case in list(holder.find_all(exp.Case)):
        if (operand := case.args.get("this")) is not None and mentions_unit(operand):
            for branch in case.args["ifs"]:
                equal = exp.EQ(this=wrapped(operand.copy()), expression=wrapped(branch.this.copy()))
                branch.set("this", equal)
            case.set("this", None)
    for kind in (exp.And, exp.Or):
        for node in _all_outermost(holder, kind):
            _gather_constants(node, day)
    made: exp.Expr = holder.this.pop()
    return made


def _all_outermost(tree: exp.Expr, kind: type[exp.Expr]) -> list[exp.Expr]:
    return list(_outermost(tree, lambda node: isinstance(node, kind)))


def _gather_constants(node: exp.Expr, day: Day) -> None:
    kind = type(node)
    terms = [term.copy() for term in node.flatten(unnest=False)]
    fixed = [t for t in terms if mentions_unit(t) and is_constant(t, day)]
    if not 0 < len(fixed) < len(terms):
        return
    others = [t for t in terms if t not in fixed]
    gate = _chain(kind, fixed)
    node.replace(_chain(kind, [exp.Paren(this=gate) if len(fixed) > 1 else gate, *others]))


def _chain(kind: type[exp.Expr], terms: list[exp.Expr]) -> exp.Expr:
    made = terms[0]
    for term in terms[1:]:
        made = kind(this=made, expression=term)
    return made


def _simplified(holder: exp.Paren) -> exp.Expr:
    """What is left of the argument once its constants are worked out, in place."""
    for node in reversed(list(holder.walk())):
        made = _folded(node) if node is not holder else None
        if made is not None:
            node.replace(made if isinstance(made, exp.Paren) else wrapped(made))
    found: exp.Expr = holder.unnest()
    return found


def _folded(node: exp.Expr) -> exp.Expr | None:
    match node:
        case exp.Paren(this=exp.Boolean() | exp.Null() as inner):
            return inner
        case exp.And():
            return _joined(node, neutral=True)
        case exp.Or():
            return _joined(node, neutral=False)
        case exp.Not(this=exp.Boolean() as inner):
            return exp.false() if inner.this else exp.true()
        case exp.Not(this=exp.Null() as inner):
            return inner
        case exp.Case(this=None):
            return _cased(node)
        case exp.If() if node.arg_key != "ifs" and _known(node.this) is not None:
            return node.args["true"] if _known(node.this) else node.args.get("false") or exp.Null()
        case _:
            return None


def _joined(node: exp.Expr, *, neutral: bool) -> exp.Expr | None:
    terms = (node.this, node.expression)
    for term, other in (terms, terms[::-1]):
        if isinstance(term, exp.Boolean):
            return other if bool(term.this) is neutral else term
    return terms[0] if all(isinstance(term, exp.Null) for term in terms) else None


def _cased(node: exp.Case) -> exp.Expr | None:
    kept: list[exp.Expr] = []
    default = node.args.get("default")
    for branch in node.args["ifs"]:
        holds = _known(branch.this)
        if holds:
            default = branch.args["true"]
            break
        if holds is None:
            kept.append(branch)
    if len(kept) == len(node.args["ifs"]):
        return None
    if not kept:
        return default or exp.Null()
    return exp.Case(ifs=kept, default=default)


def _known(condition: exp.Expr) -> bool | None:
    """Whether a condition that is a constant holds; NULL does not."""
    if isinstance(condition, exp.Boolean):
        return bool(condition.this)
    return False if isinstance(condition, exp.Null) else None
