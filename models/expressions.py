"""Expressions in the cells of a decision graph: what they read, and whether they may be used.

The engine takes a cell that it cannot parse as one that never holds, so each cell is parsed here
first, and refused when it calls something that is not a pure function of the order (the engine
offers the clock and chance).
"""

import re
from dataclasses import dataclass

import zen

from models.domain import ValueType
from models.errors import PolicyError

_TOKEN = re.compile(
    r"""(?P<text>'[^']*'|"[^"]*")|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"""
    r"""|(?P<cell>\$(?![A-Za-z_]))|(?P<symbol>\S)"""
)
_WORDS = frozenset({"true", "false", "null", "and", "or", "not", "in"})
_BOOLEANS = frozenset({"true", "false"})
_FUNCTIONS = frozenset(
    [
        "abs",
        "ceil",
        "floor",
        "round",
        "min",
        "max",
        "len",
        "contains",
        "startsWith",
        "endsWith",
        "lower",
        "upper",
        "trim",
    ]
)
_FORBIDDEN_SYMBOLS = frozenset("$#`{};\\")


@dataclass(frozen=True, slots=True)
class Expression:
    """What an expression is made of.

    Parameters
    ----------
    names
        Values that it reads, each once.
    literals
        Types of the constants in it.
    is_computed
        Whether it is more than constants compared with the cell's own value.
    """

    names: tuple[str, ...]
    literals: frozenset[ValueType]
    is_computed: bool


def parse_test(text: str) -> Expression:
    """Read a test of a column's value: ``> 100``, ``'amazon', 'shopify'``, ``[1..5]``.

    Raises
    ------
    PolicyError
        When the engine cannot parse it, or it calls what is not a pure function.

    Examples
    --------
    >>> parse_test("> average_order_value").names
    ('average_order_value',)
    """
    expression = _read(text)
    try:
        zen.compile_unary_expression(text)
    except RuntimeError as error:
        raise PolicyError(f"cannot be read: {text!r} ({_engine_words(error)})") from error
    return expression


def parse_value(text: str) -> Expression:
    """Read an expression that gives a value: ``'reject'``, ``0.3``, ``order_value * 2``.

    Raises
    ------
    PolicyError
        See `parse_test`.

    Examples
    --------
    >>> parse_value("max([order_value, 10])").names
    ('order_value',)
    """
    expression = _read(text)
    try:
        zen.compile_expression(text)
    except RuntimeError as error:
        raise PolicyError(f"cannot be read: {text!r} ({_engine_words(error)})") from error
    return expression


def parse_literal(text: str) -> str | float:
    """Read a constant: a quoted text or a number.

    Raises
    ------
    PolicyError
        When it is neither.

    Examples
    --------
    >>> parse_literal("'reject'"), parse_literal("0.35")
    ('reject', 0.35)
    """
    match = _TOKEN.fullmatch(text.strip())
    if match is None or match.lastgroup not in {"text", "number"}:
        raise PolicyError(f"must be a constant, 'text' or a number: {text!r}")
    return match[0][1:-1] if match.lastgroup == "text" else float(match[0])


def _read(text: str) -> Expression:
    tokens = [(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text)]
    names: list[str] = []
    calls = False
    literals: set[ValueType] = set()
    for place, (kind, token) in enumerate(tokens):
        after = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind in {"text", "number"}:
            literals.add("text" if kind == "text" else "number")
        elif token in _BOOLEANS:
            literals.add("boolean")
        elif kind == "name" and after == "(" and token not in _WORDS:
            calls = True
            _check_function(token, text)
        elif kind == "name" and token not in _WORDS:
            names.append(token)
        elif kind == "symbol":
            _check_symbol(tokens, place, text)
    has_cell = any(kind == "cell" for kind, _ in tokens)
    return Expression(
        tuple(dict.fromkeys(names)), frozenset(literals), bool(names) or calls or has_cell
    )


def _check_function(name: str, text: str) -> None:
    if name not in _FUNCTIONS:
        allowed = ", ".join(sorted(_FUNCTIONS))
        raise PolicyError(f"{name}() may not be used in {text!r}: there are {allowed}")


def _check_symbol(tokens: list[tuple[str, str]], place: int, text: str) -> None:
    symbol = tokens[place][1]
    if symbol in _FORBIDDEN_SYMBOLS:
        raise PolicyError(f"{symbol!r} may not be used in {text!r}")
    if symbol == ".":
        around = {tokens[place - 1][1] if place else "", *[t for _, t in tokens[place + 1 :][:1]]}
        if "." not in around:
            raise PolicyError(f"values are flat, so no '.' may be used in {text!r}")


def _engine_words(error: RuntimeError) -> str:
    # The engine adds a stack trace of its own below the first line.
    return str(error).partition("\n")[0]
