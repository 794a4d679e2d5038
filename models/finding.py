"""One thing said about a plan: a code, the values it rests on, and the sentence in zh and en.

Every number in a sentence is one of its facts or the declared rounding of one: cents are shown as
money with two decimals, minutes as hours with one decimal from one hour on, probabilities as whole
percent, moments to the minute in UTC.
"""

from dataclasses import dataclass
from datetime import datetime

from models.domain import JsonScalar, Text
from models.wording import render_text

_MINUTES_PER_HOUR = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence with its facts.

    Parameters
    ----------
    code
        Stable code, upper case.
    facts
        The values that the sentence shows, unrounded; never an identifier of a person.
    text
        The sentence in both languages.
    """

    code: str
    facts: dict[str, JsonScalar]
    text: Text


def build_finding(code: str, sentence: Text, facts: dict[str, JsonScalar]) -> Finding:
    """Fill a sentence's placeholders from its facts.

    Examples
    --------
    >>> build_finding("STOCK", Text("库存{pieces}件", "{pieces} in stock"), {"pieces": 3}).text.en
    '3 in stock'
    >>> build_finding("WEIGHT", Text("{kg}公斤", "{kg} kg"), {"kg": 1.5}).text.zh
    '1.5公斤'
    """
    shown = {name: _shown(name, value) for name, value in facts.items()}
    zh = {name: text.zh for name, text in shown.items()}
    en = {name: text.en for name, text in shown.items()}
    return Finding(code, facts, Text(render_text(sentence.zh, zh), render_text(sentence.en, en)))


def format_money(cents: int) -> str:
    """Write cents as money.

    Examples
    --------
    >>> format_money(1240), format_money(-5)
    ('12.40', '-0.05')
    """
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def format_span(minutes: int) -> Text:
    """Write minutes as minutes below an hour, else as hours with at most one decimal.

    Examples
    --------
    >>> format_span(540).en, format_span(95).zh, format_span(6).en
    ('9 hours', '1.6小时', '6 minutes')
    """
    if minutes < _MINUTES_PER_HOUR:
        return Text(f"{minutes}分钟", f"{minutes} minutes")
    hours = f"{minutes / _MINUTES_PER_HOUR:.1f}".removesuffix(".0")
    return Text(f"{hours}小时", f"{hours} hours")


def moment(value: datetime) -> str:
    """Write a moment to the minute, in UTC, as ISO 8601."""
    return value.strftime("%Y-%m-%dT%H:%MZ")


def _shown(name: str, value: JsonScalar) -> Text:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return Text(str(value), str(value))
    if name.endswith("_minutes"):
        return format_span(int(value))
    plain = f"{value:g}"
    if name.endswith("_cents"):
        plain = format_money(int(value))
    elif name.endswith("_probability"):
        plain = f"{value * 100:.0f}"
    elif isinstance(value, int):
        plain = str(value)
    return Text(plain, plain)
