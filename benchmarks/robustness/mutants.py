"""Makes the single changes that benchmarks/robustness/mutations.py tries, each as the source of the changed module."""

import ast
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""The neighbour, where there is a bound, and the opposite."""
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Mutant:
    """One change, with the source of the changed module.

    It is named by its line's number and text, `old -> new`, with a (2) if the same text occurs once more in that line.
    """

    number: int
    line: str
    change: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """Returns every single change of a module, in the order of its lines; no two have the same source."""
    tree, lines = ast.parse(source), source.splitlines()
    same = ast.unparse(tree)
    found: dict[str, Mutant] = {}
    seen: Counter[tuple[int, str]] = Counter()
    for parent, field, place, number, names in list(_places(tree, 1, Counter())):
        node = getattr(parent, field) if place is None else getattr(parent, field)[place]
        for new in _variants(field, node, names):
            _put(parent, field, place, new)
            changed = ast.unparse(tree)
            _put(parent, field, place, node)
            if changed in found or changed == same:
                continue
            change = f"{_words(node)} -> {_words(new)}"
            seen[number, change] += 1
            times = f" ({seen[number, change]})" if seen[number, change] > 1 else ""
            found[changed] = Mutant(number, lines[number - 1].strip(), change + times, changed)
    return sorted(found.values(), key=lambda one: one.number)


def _put(parent: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node


def _words(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _places(
    node: ast.AST, number: int, names: Counter[str]
) -> Iterator[tuple[Any, str, int | None, int, Counter[str]]]:
    """Yields where each node that may change is: parent, field, index and line.

    It also yields how often the node's function assigns each name.
    """
    if isinstance(node, FUNCTIONS):
        arguments = (one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg))
        stored = (one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))
        names = Counter([*arguments, *stored])
    for field, value in ast.iter_fields(node):
        for place, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _left_alone(node, field, place, child):
                continue
            # The parts of an f-string have no place of their own before Python 3.12.
            line = number if isinstance(node, ast.JoinedStr | ast.FormattedValue) else getattr(child, "lineno", number)
            yield node, field, place if isinstance(value, list) else None, line, names
            yield from _places(child, line, names)


def _left_alone(node: ast.AST, field: str, place: int, child: Any) -> bool:
    """Returns whether `child` is never changed; the docstring of mutations.py lists these cases."""
    match node, child:
        case _, ast.Expr(value=ast.Constant()) | ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case _, ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Subscript(value=ast.Name(id="Literal")), _:
            return True
        case ast.Call(func=ast.Name(id="cast")), _:
            return field == "args" and place == 0
        case ast.Call(func=ast.Name(id="dataclass" | "zip")), ast.keyword():
            return True
        case ast.JoinedStr(), ast.Constant():
            return True
        case ast.FormattedValue(), _:
            return field == "format_spec"
    return field in ("annotation", "returns", "type_params", "bases", "op", "ops", "ctx")


def _variants(field: str, node: Any, names: Counter[str]) -> Iterator[ast.AST]:
    """Yields what may replace a node."""
    match node:
        case ast.Compare():
            for place, old in enumerate(node.ops):
                for new in COMPARISONS[type(old)]:
                    comparison = deepcopy(node)
                    comparison.ops[place] = new()
                    yield comparison
        case ast.BinOp() | ast.AugAssign():
            changed = deepcopy(node)
            changed.op = OPERATORS[type(node.op)]()
            yield changed
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.Name(id=name, ctx=ast.Load()) if name in NAMES:
            yield ast.Name(NAMES[name], ast.Load())
        case ast.Constant(value=value):
            yield from (ast.Constant(cast(Any, other)) for other in _constants(value))
        case ast.JoinedStr():
            yield ast.Constant("changed")
        case ast.Break() | ast.Continue():
            yield ast.Continue() if isinstance(node, ast.Break) else ast.Break()
        case ast.Return(value=ast.expr()):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Yield(value=ast.expr())):
            yield ast.Expr(ast.Yield(ast.Constant(None)))
        case ast.Slice():
            yield from (ast.Slice(node.lower, None, node.step), ast.Slice(None, node.upper, node.step))
    if field in ("test", "ifs") and not isinstance(node, ast.Compare | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)
    if _dispensable(node, names):
        yield ast.Pass()


def _constants(value: object) -> tuple[object, ...]:
    match value:
        case bool():
            return (not value,)
        case int() | float():
            return value + 1, value - 1
        case str():
            return ("changed",)
    return ()


def _dispensable(node: ast.AST, names: Counter[str]) -> bool:
    """Returns whether a statement can go without leaving an unknown name behind, which any test would notice."""
    match node:
        case ast.Expr(value=value):
            return not isinstance(value, ast.Constant)
        case ast.Raise() | ast.Delete() | ast.AugAssign() | ast.Assert():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return names[name] > 1
    return False
