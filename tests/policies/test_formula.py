from __future__ import annotations

import ast
import re
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.formula import LONGEST, Formula, FormulaError

GOALS = ("ctr", "cvr", "stay", "price")
VALUES = {
    "ctr": np.array([[0.0, 1e-9, 0.05, 1.0]]),
    "cvr": np.array([[1.0, 0.0, 0.3, 1e-12]]),
    "stay": np.array([[0.0, 30.0, 1e4, 1.0]]),
    "price": np.array([[0.01, 26.6, 1e5, 1.0]]),
}
C, V, S, P = (VALUES[goal] for goal in GOALS)


def value(text: str, **params: float) -> np.ndarray:
    return np.broadcast_to(Formula(text, params)(VALUES), C.shape)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ctr + cvr", C + V),
        ("ctr - cvr", C - V),
        ("ctr * cvr", C * V),
        ("ctr / price", C / P),
        ("price ** 0.5", P**0.5),
        ("price ** -2", P**-2.0),
        ("price ** ctr ** 2", P ** (C**2)),
        ("-ctr", -C),
        ("+ctr", C),
        ("-price ** 2", -(P**2)),
        ("ctr - cvr - stay", C - V - S),
        ("ctr + cvr * stay", C + V * S),
        ("(ctr + cvr) * stay", (C + V) * S),
        ("price / 2 / 4", P / 8),
        ("log(price)", np.log(P)),
        ("log1p(stay)", np.log1p(S)),
        ("exp(ctr)", np.exp(C)),
        ("exp(-stay)", np.exp(-S)),
        ("sqrt(stay)", np.sqrt(S)),
        ("sqrt(log1p(exp(ctr)))", np.sqrt(np.log1p(np.exp(C)))),
        ("1.5e1 * ctr + 0.25", 15 * C + 0.25),
        ("ctr\n", C),
    ],
)
def test_arithmetic_is_that_of_numpy(text: str, expected: np.ndarray) -> None:
    np.testing.assert_allclose(value(text), expected, rtol=1e-12)


def test_parameters_stand_for_their_values() -> None:
    text = "ctr**alpha * (1 + a*log1p(stay))"
    np.testing.assert_allclose(value(text, alpha=2, a=0.5), np.maximum(C, 1e-12) ** 2 * (1 + 0.5 * np.log1p(S)))


def test_it_lists_the_goals_it_needs_and_no_others() -> None:
    assert Formula("cvr * ctr**a + log(price)", {"a": 1}).goals == ["ctr", "cvr", "price"]


@pytest.mark.parametrize(
    "text",
    [
        "ctr ** -3",
        "log(ctr)",
        "1 / ctr",
        "price / (ctr * cvr)",
        "ctr / (cvr - cvr)",
        "log(ctr) * log(cvr)",
        "(ctr * cvr) ** -1",
        "(ctr - 1) ** 0.5",
        "sqrt(ctr - 1)",
        "log(-price)",
        "0 ** ctr",
    ],
)
def test_a_goal_of_zero_gives_a_finite_score(text: str) -> None:
    assert np.isfinite(value(text)).all()


@pytest.mark.parametrize(
    "text",
    [
        "log1p(-2 * ctr)",
        "log1p(ctr - ctr - 1)",
        "ctr * 9**9**9**9",
        "ctr * (9**9**9**9 - 9**9**9**9)",
        "0 * 9**9**9**9 + ctr",
        "price ** 999",
        "ctr * exp(80)**9",
        "exp(80) * exp(80) * exp(80) * exp(80) * exp(80) * exp(80) * exp(80) * exp(80) * exp(80) * ctr",
        "ctr ** -99",
        "1e29**1e29 / 9**9**9 * ctr",
    ],
)
def test_what_leaves_the_range_of_floats_is_held_finite_without_a_warning(text: str) -> None:
    """RuntimeWarnings are errors here; -inf, inf and NaN are no scores."""
    assert np.isfinite(value(text)).all()


@pytest.mark.parametrize(
    "text",
    [
        "ctr.real",
        "ctr.__class__.__mro__",
        "ctr[0]",
        "__import__('os').system('true')",
        "open('x')",
        "abs(ctr)",
        "exp(ctr, 1)",
        "exp(x=ctr)",
        "exp(*ctr)",
        "exp()",
        "exp",
        "exp * ctr",
        "(exp)(ctr)(ctr)",
        "lambda: ctr",
        "ctr < cvr",
        "ctr == cvr",
        "ctr and cvr",
        "not ctr",
        "ctr if cvr else price",
        "'ctr'",
        "f'{ctr}'",
        "b'ctr'",
        "[ctr]",
        "(ctr, cvr)",
        "{ctr}",
        "{ctr: cvr}",
        "[x for x in ctr]",
        "(x := ctr)",
        "await ctr",
        "yield ctr",
        "*ctr",
        "...",
        "None * ctr",
        "True * ctr",
        "1j * ctr",
        "1e999 * ctr",
        "1e30 * ctr",
        "ctr % 2",
        "ctr // 2",
        "ctr @ cvr",
        "ctr & cvr",
        "~ctr",
        "ctr; cvr",
        "ctr = 1",
        "import os",
        "ctr cvr",
        "ctr +",
        "(ctr",
        "",
        "   ",
        "#",
        "\0",
        "ctr\0",
        "\ud800",
        "ctr * 1_",
    ],
)
def test_everything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        Formula(text, {})


DEEP: dict[str, str] = {
    "2000 parentheses": "(" * 2000 + "ctr" + ")" * 2000,
    "240 parentheses": "(" * 240 + "ctr" + ")" * 240,
    "unclosed parentheses": "(" * 490,
    "signs": "-" * 490 + "ctr",
    "calls": "exp(" * 98 + "ctr" + ")" * 98,
    "attributes": "ctr" + ".a" * 240,
    "subscripts": "ctr" + "[0]" * 160,
    "calls of calls": "ctr" + "()" * 240,
    "powers": "ctr" + "**ctr" * 90,
    "products": "ctr" + "*ctr" * 120,
    "a very long product": "ctr" + "*ctr" * 100_000,
    "nots": "not " * 120 + "ctr",
    "conditions": "ctr" + " if 1 else ctr" * 30,
    "lambdas": "lambda:" * 60 + "ctr",
    "format strings": "f'{" * 100,
    "brackets": "[" * 250 + "]" * 250,
    "a huge whole number": "9" * 480 + "*ctr",
    "a tower of powers": "9**9**9**9",
    "a long word": "c" * 500,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP.keys())
def test_deep_and_long_input_is_refused_or_computed_and_never_exhausts_python(text: str) -> None:
    check_refused_or_finite(text)


def test_longer_than_the_limit_is_refused_with_the_limit() -> None:
    with pytest.raises(FormulaError, match=f"at most {LONGEST} characters, got {LONGEST + 1}"):
        Formula("ctr" + " " * (LONGEST - 2), {})


def test_spaces_around_a_formula_do_not_matter() -> None:
    """A quoted or folded YAML text may begin with a space or a line break."""
    np.testing.assert_array_equal(value(" ctr * cvr "), C * V)


def test_every_name_without_a_value_is_a_goal() -> None:
    """Which goals there are is for the log to say: a like of a feed, an answer to an application."""
    assert Formula("ctr * like**a + log1p(answer)", {"a": 1}).goals == ["answer", "ctr", "like"]
    np.testing.assert_allclose(Formula("2 * like", {})({"like": C}), 2 * C)


def test_an_unknown_function_is_refused_with_those_there_are() -> None:
    with pytest.raises(FormulaError, match=r"log1p, log, exp, sqrt of one argument, got 'sqr\(cvr\)'"):
        Formula("ctr * sqr(cvr)", {})


def test_a_parameter_mistyped_in_the_formula_is_refused_with_what_stands_there() -> None:
    with pytest.raises(FormulaError, match="'alpha' is not; did you mean 'alfa'"):
        Formula("ctr**alfa", {"alpha": 1})


def test_a_parameter_that_is_not_used_is_refused() -> None:
    with pytest.raises(FormulaError, match="'beta' is not"):
        Formula("ctr**alpha", {"alpha": 1, "beta": 2})


@pytest.mark.parametrize("goal", ["ctr", "cvr", "ctcvr", "stay", "price"])
def test_a_parameter_named_like_a_goal_of_every_scenario_is_refused(goal: str) -> None:
    with pytest.raises(FormulaError, match=f"name of a goal, got {goal}; rename it"):
        Formula(f"{goal} * like", {goal: 1})


def test_a_formula_without_goals_is_refused() -> None:
    with pytest.raises(FormulaError, match="at least one goal"):
        Formula("1 + a", {"a": 1})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_parameter_that_is_no_finite_number_is_refused(bad: float) -> None:
    with pytest.raises(FormulaError, match=r"\ba\b.*(nan|inf)"):
        Formula("ctr**a", {"a": bad})


@pytest.mark.parametrize("text", ["ctr.real", "ctr * abs(cvr)", "ctr +", "ctr < 1"])
def test_a_refusal_says_what_was_found(text: str) -> None:
    with pytest.raises(FormulaError, match=r"got .*column \d+"):
        Formula(text, {})


def test_a_formula_error_is_a_value_error() -> None:
    """So that pydantic reports it with the place in the file."""
    assert issubclass(FormulaError, ValueError)


def check_refused_or_finite(text: str, **params: float) -> None:
    """Either FormulaError or finite numbers; nothing else is ever raised."""
    try:
        formula = Formula(text, params)
    except FormulaError:
        return
    values = {goal: VALUES.get(goal, S) for goal in formula.goals}
    assert np.isfinite(formula(values)).all(), text


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_any_text_is_refused_or_gives_finite_numbers(text: str) -> None:
    check_refused_or_finite(text)


TOKENS = [*GOALS, "log", "log1p", "exp", "sqrt", "(", ")", "+", "-", "*", "/", "**", " ", "0", "1", "9", "1e9", ".5"]


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([*TOKENS, "[", "]", ".", ",", "'", "lambda", ":", "if", "else"]), max_size=25))
def test_any_order_of_tokens_is_refused_or_gives_finite_numbers(tokens: list[str]) -> None:
    check_refused_or_finite("".join(tokens))


def pairs(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(part, st.sampled_from("+ - * / **".split()), part).map(lambda p: f"({p[0]}{p[1]}{p[2]})")
    unary = st.tuples(st.sampled_from(["-", "+", "log", "log1p", "exp", "sqrt"]), part)
    return binary | unary.map(lambda p: f"{p[0]}({p[1]})")


NUMBERS = st.floats(0, 1e29).map(repr) | st.integers(0, 1000).map(str)
EXPRESSIONS = st.recursive(st.sampled_from(GOALS) | NUMBERS, pairs, max_leaves=12)


@settings(max_examples=600, deadline=None, derandomize=True)
@given(EXPRESSIONS)
@example("log1p(-(price))")
@example("(exp((ctr*1e29))**(stay-price))")
def test_every_arithmetic_expression_gives_finite_numbers(text: str) -> None:
    check_refused_or_finite(text)


class Float64(ast.NodeTransformer):
    """Numbers of a parsed text as float64, so that Python's arithmetic gives inf and NaN where it would raise."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Call(ast.Name("float64", ast.Load()), [node], [])


def by_python(text: str, row: Mapping[str, float]) -> list[float]:
    """The value of the text and of each of its parts by Python's own rules; nothing is guarded."""
    names = {name: np.float64(v) for name, v in row.items()} | {
        f.__name__: f for f in (np.log, np.log1p, np.exp, np.sqrt, np.float64)
    }
    tree = Float64().visit(ast.parse(text, mode="eval")).body
    parts = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp | ast.UnaryOp | ast.Call)]
    with np.errstate(all="ignore"):
        return [
            float(eval(compile(ast.fix_missing_locations(ast.Expression(node)), "formula", "eval"), {}, dict(names)))
            for node in [tree, *parts]
        ]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(EXPRESSIONS.filter(lambda text: any(goal in text for goal in GOALS)))
def test_expressions_agree_with_python_wherever_python_stays_in_range(text: str) -> None:
    """Where a part of it leaves 1e-10 to 1e30, a guard of the formula may act and there is nothing to compare."""
    row = {"ctr": 0.05, "cvr": 0.3, "stay": 31.0, "price": 26.6}
    expected, *parts = by_python(text, row)
    if not all(1e-10 < abs(part) < 1e30 for part in [expected, *parts]):
        return
    values = {name: np.array([[v]]) for name, v in row.items()}
    np.testing.assert_allclose(Formula(text, {})(values), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "ctr**a * (b + price)**c",
        "price",
        "-price**a + ctr",
        "log1p(price) * exp(-c) * ctr",
        "ctr / (price - 3) ** c",
        "sqrt(price * price) + log(ctr) * 2",
        "a * 2 + ctr",
        "price * c",
    ],
)
def test_what_belongs_to_the_item_alone_is_reckoned_once_per_item_with_the_same_bits(text: str) -> None:
    rng = np.random.default_rng(0)
    known = {"a": 0.7, "b": 1.5, "c": -0.3}
    params = {name: value for name, value in known.items() if re.search(rf"\b{name}\b", text)}
    formula = Formula(text, params)
    price, at, ctr = rng.lognormal(2, 1, 300), rng.integers(0, 300, (40, 30)), rng.random((40, 30))
    found = formula.over({"ctr": ctr}, {"price": price}, at)
    expected = formula({"ctr": ctr, "price": price[at]})
    np.testing.assert_array_equal(np.broadcast_to(found, at.shape), np.broadcast_to(expected, at.shape))
