"""Formulas over goals: parsed, never evaluated as Python, so that a formula can compute and nothing else."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Collection, Mapping

import numpy as np

from policies.base import GOALS, nearest
from sim.records import Floats, Ints

FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "log1p": lambda x: np.log1p(np.maximum(x, TINY - 1)),
    "log": lambda x: np.log(np.maximum(x, TINY)),
    "exp": lambda x: np.exp(np.minimum(x, 80.0)),  # e^80 still fits a float32 score
    "sqrt": lambda x: np.sqrt(np.maximum(x, 0.0)),
}
HUGE = 1e100  # values are held within it after every step: a product of two still is a float
TINY = 1e-12  # a goal of exactly 0 must not make log or a negative power infinite
RESERVED = (*GOALS, "price")  # never parameters: a formula would silently mean something else
LONGEST = 500  # characters; a formula longer than this is a mistake
_BINARY: Mapping[type[ast.operator], Callable[[Floats, Floats], Floats]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: lambda a, b: a / np.where(np.abs(b) < TINY, TINY, b),
    ast.Pow: lambda a, b: np.power(np.maximum(a, TINY), b),
}


class FormulaError(ValueError):
    """A formula that cannot be used; the message says where, what must hold and the cure."""


class Formula:
    """An arithmetic expression over goals and named parameters.

    Numbers, names, + - * / ** and log, log1p, exp, sqrt of one argument. Bases of powers are held above
    1e-12, so a goal of 0 gives a finite score.

    Args:
        text: such as "ctr**alpha * cvr**beta * price**c".
        params: values of names; every other name is a goal. Whether there is such a goal is for the log to say.

    Attributes:
        goals: the goals that it names, sorted, `price` among them.

    Raises:
        FormulaError: the text does not parse, uses something else, or its parameters do not fit it.
    """

    def __init__(self, text: str, params: Mapping[str, float]) -> None:
        self.text, self.params = text, dict(params)
        if len(text) > LONGEST:
            raise FormulaError(f"must be at most {LONGEST} characters, got {len(text)}; split it or drop terms")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # of texts such as 1if, which are refused below
                self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as problem:
            column = getattr(problem, "offset", None) or 0
            raise FormulaError(
                f'must be arithmetic over goals, got {text!r} (column {column}); try "ctr**alpha * price"'
            ) from None
        names = {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name)} - set(FUNCTIONS)
        self.goals = sorted(names - set(self.params))
        _check(self._tree)
        self._check_names(names)
        self._names = {id(node): _names(node) for node in ast.walk(self._tree)}

    def __call__(self, values: Mapping[str, Floats]) -> Floats:
        """The value for goals given by name, each of shape (R, C)."""
        with np.errstate(over="ignore"):
            return _value(self._tree, {**self.params, **values})

    def over(self, values: Mapping[str, Floats], items: Mapping[str, Floats], at: Ints) -> Floats:
        """The same where some values belong to the item alone: their part of the formula is reckoned once per item.

        A power costs 20 ns and a look-up 1; of a price to a power, a tenth of what fusing a request costs is saved.

        Args:
            values: by goal, shape (R, C). items: by goal, shape (n_items,). at: shape (R, C), rows of items.
        """
        of_item: dict[str, Floats | float] = {**self.params, **items}
        alone = {node for node, names in self._names.items() if names & set(items) and names <= set(of_item)}
        with np.errstate(over="ignore"):
            return _over(self._tree, {**self.params, **values}, of_item, alone, at)

    def _check_names(self, names: set[str]) -> None:
        for name, number in self.params.items():
            if not np.isfinite(number):
                raise FormulaError(f"params.{name} must be a finite number, got {number}")
        both = sorted(set(self.params) & set(RESERVED))
        if both:
            raise FormulaError(f"a parameter must not have the name of a goal, got {', '.join(both)}; rename it")
        for name in sorted(set(self.params) - names):
            hint = nearest(name, self.goals)  # the formula may have meant this parameter and mistyped it
            raise FormulaError(f"params must be used in the formula, {name!r} is not; {hint}remove it or use it")
        if not self.goals:
            raise FormulaError(f"must use at least one goal, got {self.text!r}; such as {', '.join(RESERVED)}")


def _check(node: ast.AST) -> None:
    match node:
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            _check(left)
            _check(right)
        case ast.UnaryOp(ast.USub() | ast.UAdd(), operand):
            _check(operand)
        case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
            _check(argument)
        case ast.Name(name) if name not in FUNCTIONS:
            return
        case ast.Constant(int() | float() as value) if not isinstance(value, bool) and abs(value) < 1e30:
            return
        case _:
            column = getattr(node, "col_offset", 0) + 1
            raise FormulaError(
                f"may hold numbers, names, + - * / ** and {', '.join(FUNCTIONS)} of one argument, "
                f"got {ast.unparse(node)[:60]!r} at column {column}; rewrite that part"
            )


def _names(node: ast.AST) -> frozenset[str]:
    """Goals and parameters that a part of a formula names."""
    return frozenset(part.id for part in ast.walk(node) if isinstance(part, ast.Name)) - set(FUNCTIONS)


def _over(
    node: ast.AST,
    values: Mapping[str, Floats | float],
    of_item: Mapping[str, Floats | float],
    alone: Collection[int],
    at: Ints,
) -> Floats:
    """The value of a node; of one that is `alone` with items' values, looked up in its value for every item."""
    if id(node) in alone:
        return _value(node, of_item).take(at)
    match node:
        case ast.BinOp(left, op, right):
            a, b = (_over(part, values, of_item, alone, at) for part in (left, right))
            return np.clip(_BINARY[type(op)](a, b), -HUGE, HUGE)
        case ast.UnaryOp(op, operand):
            value = _over(operand, values, of_item, alone, at)
            return -value if isinstance(op, ast.USub) else value
        case ast.Call(ast.Name(name), [argument]):
            return FUNCTIONS[name](_over(argument, values, of_item, alone, at))
    return _value(node, values)


def _value(node: ast.AST, values: Mapping[str, Floats | float]) -> Floats:
    match node:
        case ast.BinOp(left, op, right):
            return np.clip(_BINARY[type(op)](_value(left, values), _value(right, values)), -HUGE, HUGE)
        case ast.UnaryOp(op, operand):
            value = _value(operand, values)
            return -value if isinstance(op, ast.USub) else value
        case ast.Call(ast.Name(name), [argument]):
            return FUNCTIONS[name](_value(argument, values))
        case ast.Name(name):
            return np.asarray(values[name], dtype=np.float64)
        case ast.Constant(value):
            return np.asarray(float(value))  # type: ignore[arg-type]
    raise AssertionError(f"unchecked node {node!r}")
