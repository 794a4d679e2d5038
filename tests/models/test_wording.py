"""Every number format is a declared rounding."""

import pytest

from models.domain import JsonScalar
from models.errors import KindFileError
from models.wording import format_value, render_text


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (7.0, None, "7"),
        (7.256, None, "7.26"),
        (7.5, None, "7.5"),
        (9 / 11, "percent", "82"),
        (0.1234, "percent1", "12.3"),
        (3.26, "fixed1", "3.3"),
        (1234.5, "money", "1,234.50"),
        (-3.0, "magnitude", "3"),
        ("2026-01-15", None, "2026-01-15"),
        (None, "percent", "–"),
    ],
)
def test_formats(value: JsonScalar, form: str | None, expected: str) -> None:
    assert format_value(value, form) == expected


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(KindFileError, match="no number format 'roman'"):
        render_text("{a:roman}", {"a": 4})
