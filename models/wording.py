"""Placeholders and number formats of sentences. Each format is a declared rounding."""

from collections.abc import Callable, Mapping

from models.domain import JsonScalar
from models.errors import KindFileError
from models.sentences import PLACEHOLDER

_MISSING = "–"


def _plain(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


_FORMATS: dict[str, Callable[[float], str]] = {
    "plain": _plain,
    "percent": lambda value: f"{value * 100:.0f}",
    "percent1": lambda value: f"{value * 100:.1f}",
    "fixed0": lambda value: f"{value:.0f}",
    "fixed1": lambda value: f"{value:.1f}",
    "fixed2": lambda value: f"{value:.2f}",
    "money": lambda value: f"{value:,.2f}",
    "magnitude": lambda value: _plain(abs(value)),
}


def format_value(value: JsonScalar, form: str | None) -> str:
    """Write one value.

    Parameters
    ----------
    value
        Text is shown as it is; numbers by `form`.
    form
        ``plain`` (at most two decimals, the default), ``percent`` (0.818 is 82), ``percent1``,
        ``fixed0`` to ``fixed2``, ``money``, ``magnitude`` (without sign).

    Raises
    ------
    KindFileError
        When there is no such format.

    Examples
    --------
    >>> format_value(9 / 11, "percent"), format_value(7.0, None), format_value("2026-01-15", None)
    ('82', '7', '2026-01-15')
    """
    if value is None:
        return _MISSING
    if isinstance(value, (str, bool)):
        return str(value)
    try:
        return _FORMATS[form or "plain"](float(value))
    except KeyError:
        raise KindFileError(f"no number format {form!r}: there are {', '.join(_FORMATS)}") from None


def render_text(template: str, values: Mapping[str, JsonScalar]) -> str:
    """Fill a sentence's placeholders.

    Examples
    --------
    >>> render_text("退货率{rate:percent}%", {"rate": 9 / 11})
    '退货率82%'
    """
    return PLACEHOLDER.sub(lambda match: format_value(values.get(match[1]), match[2]), template)
