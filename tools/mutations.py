"""Small faults that can be put into a Python source: what ``tools/mutate.py`` tries.

Only what a program does is changed. Docstrings, annotations, decorators, imports, strings, ``__all__``, the arguments
of raised errors and of warnings, and axes of tensors stay as they are.
"""

from __future__ import annotations

import ast
import copy
import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
OTHER_FUNCTION = {
    name: other
    for one, two in (
        ("min", "max"), ("amin", "amax"), ("clamp_min", "clamp_max"), ("minimum", "maximum"), ("argmin", "argmax"),
        ("floor", "ceil"), ("any", "all"), ("sin", "cos"), ("mean", "median"), ("zeros_like", "ones_like"),
        ("isfinite", "isnan"), ("hstack", "vstack"), ("cummin", "cummax"), ("logical_and", "logical_or"),
    )
    for name, other in ((one, two), (two, one))
}  # fmt: skip
"""Functions and methods that are easily taken for one another."""

DROPPED_METHODS = {"abs", "exp", "log", "sqrt", "square", "sigmoid", "clone", "copy", "nan_to_num", "round", "flip"}
"""Methods whose call is replaced by what they are called on."""

AXIS_ARGUMENTS = {"dim", "axis", "keepdim", "dims", "strict", "stacklevel"}
AXIS_METHODS = {"sum", "mean", "norm", "unbind", "flatten", "unflatten", "expand", "reshape", "transpose", "permute",
                "unsqueeze", "squeeze", "repeat", "amin", "amax", "all", "any", "median", "argmin", "argmax", "cumsum",
                "diff", "gather", "size", "swapaxes", "roll", "clamp_max_", "take_along_dim"}  # fmt: skip
"""Another axis is an error of shape, which every test notices: such faults would only embellish the result."""

SWAPPED_CALLS_KEPT = {
    "min",
    "max",
    "minimum",
    "maximum",
    "hypot",
    "logical_and",
    "logical_or",
    "isinstance",
    "range",
    "getattr",
    "setattr",
    "hasattr",
    "einsum",
}
TINY = 1e-4
"""Numbers below it guard a division or say "equal": doubling them would change nothing that anybody could see."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault.

    Attributes:
        path: of the source, relative to the repository.
        kind: of the fault.
        start, end: bytes of the source that ``after`` takes the place of.
        line: where they begin.
        statement: first line of the innermost statement of a function that holds them; ``None`` outside of functions.
        name: outside of functions, the name that is bound there.
        key: the same for the same fault on the same line of text, wherever that line moves to.
    """

    path: str
    kind: str
    start: int
    end: int
    after: str
    line: int
    statement: int | None
    name: str | None
    key: str = ""

    def apply(self, source: str) -> str:
        """The source with the fault in it."""
        data = source.encode()
        return (data[: self.start] + self.after.encode() + data[self.end :]).decode()

    def changed_lines(self, source: str) -> tuple[str, str]:
        """Text before and after of the lines that hold the fault, blanks joined."""
        data = source.encode()
        first = data.rfind(b"\n", 0, self.start) + 1
        last = data.find(b"\n", self.end)
        tail = data[self.end : len(data) if last < 0 else last]
        after = data[first : self.start] + self.after.encode() + tail
        before = data[first : self.end] + tail
        return " ".join(before.decode().split()), " ".join(after.decode().split())

    def diff(self, source: str) -> str:
        """Unified diff with two lines of context."""
        before, after = (text.splitlines(keepends=True) for text in (source, self.apply(source)))
        return "".join(difflib.unified_diff(before, after, self.path, f"{self.path} ({self.kind})", n=2))


def list_mutants(path: str, source: str) -> list[Mutant]:
    """Every fault of a source, in the order of the text; a few do not compile."""
    lister = _Lister(path, source)
    lister.visit(ast.parse(source))
    found: list[Mutant] = []
    seen: dict[tuple[str, str], int] = {}
    for mutant in sorted(lister.mutants, key=lambda mutant: (mutant.start, mutant.end, mutant.kind, mutant.after)):
        before, after = mutant.changed_lines(source)
        number = seen[before, after] = seen.get((before, after), -1) + 1
        text = "\0".join((path, before, after, str(number)))
        found.append(replace(mutant, key=hashlib.sha256(text.encode()).hexdigest()[:16]))
    return found


class _Lister(ast.NodeVisitor):
    def __init__(self, path: str, source: str) -> None:
        self.path = path
        lines = source.encode().splitlines(keepends=True)
        self.line_starts = [sum(map(len, lines[:index])) for index in range(len(lines) + 1)]
        self.mutants: list[Mutant] = []
        self.statement: int | None = None
        self.name: str | None = None
        self.depth = 0

    def add(self, node: ast.expr | ast.stmt, kind: str, after: ast.AST | str) -> None:
        text = after if isinstance(after, str) else ast.unparse(after)
        if isinstance(after, ast.expr) and not isinstance(after, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
            text = f"({text})"
        start, end = self.span(node)
        self.mutants.append(
            Mutant(
                path=self.path, kind=kind, start=start, end=end, after=text, line=node.lineno,
                statement=self.statement if self.depth else None, name=self.name,
            )
        )  # fmt: skip

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = self.line_starts[node.lineno - 1], self.line_starts[node.end_lineno - 1]
        return first + node.col_offset, last + node.end_col_offset

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
            return
        if isinstance(node, ast.stmt) and self.depth and not isinstance(node, ast.FunctionDef):
            outer, self.statement = self.statement, node.lineno
            self.visit_statement(node)
            super().visit(node)
            self.statement = outer
            return
        super().visit(node)

    def visit_statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break():
                self.add(node, "statement removed", "pass")
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _names(value):
                self.add(node, "assignment removed", "pass")
            case ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
                self.add(node, "assignment removed", "pass")
            case ast.Return(value=ast.Call(args=[ast.Name() as first, *_])):
                self.add(node, "first argument returned", ast.Return(first))
            case ast.If(test=test) | ast.While(test=test):
                if not isinstance(test, ast.Compare):
                    self.add(test, "condition negated", ast.UnaryOp(ast.Not(), test))
            case _:
                pass

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer = self.statement, self.name
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        if body:
            self.statement, self.depth = body[0].lineno, self.depth + 1
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                if default is not None:
                    self.visit(default)
            for child in body:
                self.visit(child)
            self.depth -= 1
        self.statement, self.name = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for child in node.body:
            self.visit(child)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if self.depth == 0:
            self.name = names[0] if names else None
        if names != ["__all__"]:
            self.visit(node.value)
            for target in node.targets:
                self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self.depth == 0 and isinstance(node.target, ast.Name):
            self.name = node.target.id
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        """What an error says is no behaviour to test."""

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in AXIS_ARGUMENTS:
            self.visit(node.value)

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                changed = copy.deepcopy(node)
                changed.ops[index] = other()
                self.add(node, "comparison", changed)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.MatMult):
            self.add(node, "operands swapped", ast.BinOp(node.right, node.op, node.left))
        elif type(node.op) in ARITHMETIC and not _is_text(node):
            self.add(node, "arithmetic", ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self.add(node, "and/or", ast.BoolOp(other, node.values))
        for index in range(len(node.values)):
            left = [value for place, value in enumerate(node.values) if place != index]
            self.add(node, "operand dropped", left[0] if len(left) == 1 else ast.BoolOp(node.op, left))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.add(node, "sign or not dropped", node.operand)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.add(node, "branches swapped", ast.IfExp(node.test, node.orelse, node.body))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in ARITHMETIC:
            self.add(node, "arithmetic", ast.AugAssign(node.target, ARITHMETIC[type(node.op)](), node.value))
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None and not _is_number(bound):
                self.add(bound, "slice off by one", ast.BinOp(bound, ast.Add(), ast.Constant(1)))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        for other in _other_values(node.value):
            self.add(node, "constant", repr(other))

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"warn", "warning", "debug", "info", "TypeVar", "cast", "DegradedResultWarning"}:
            return
        if called in OTHER_FUNCTION:
            changed = copy.deepcopy(node)
            if isinstance(changed.func, ast.Attribute):
                changed.func.attr = OTHER_FUNCTION[called]
            elif isinstance(changed.func, ast.Name):
                changed.func.id = OTHER_FUNCTION[called]
            self.add(node, "other function", changed)
        if called in DROPPED_METHODS and isinstance(node.func, ast.Attribute) and not node.keywords:
            values = node.args if _is_module(node.func.value) else [node.func.value]
            if values:
                self.add(node, "call dropped", values[0])
        if called == "where" and len(node.args) == 3:
            self.add(node, "branches swapped", ast.Call(node.func, [node.args[0], node.args[2], node.args[1]], []))
        elif len(node.args) >= 2 and called not in SWAPPED_CALLS_KEPT and _may_swap(*node.args[:2]):
            order = [node.args[1], node.args[0], *node.args[2:]]
            self.add(node, "arguments swapped", ast.Call(node.func, order, node.keywords))
        self.visit(node.func)
        for argument in node.args:
            if not (called in AXIS_METHODS and _is_number(argument)):
                self.visit(argument)
        for keyword in node.keywords:
            self.visit(keyword)


def _names(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant)


def _is_text(node: ast.BinOp) -> bool:
    return any(isinstance(child, ast.JoinedStr) or (isinstance(child, ast.Constant) and isinstance(child.value, str))
               for child in ast.walk(node))  # fmt: skip


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"torch", "np", "math"}


def _may_swap(first: ast.expr, second: ast.expr) -> bool:
    """Two arguments that could be taken for one another: equal ones, texts and unpacked ones could not."""
    if isinstance(first, ast.Starred) or isinstance(second, ast.Starred) or ast.dump(first) == ast.dump(second):
        return False
    return not any(_is_number(side) or isinstance(side, ast.Lambda) for side in (first, second))


def _other_values(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1) if value <= 3 else (2 * value, value // 2)
    elif isinstance(value, float):
        if value == 0:
            yield 1.0
        elif abs(value) < TINY:
            yield from (0.0, 1e4 * value)
        else:
            yield from (2 * value, value / 2)
