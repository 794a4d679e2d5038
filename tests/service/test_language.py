"""Which language an answer is in."""

import pytest

from service.language import Tag, negotiate


@pytest.mark.parametrize(
    ("header", "want"),
    [
        (None, "zh-CN"),
        ("", "zh-CN"),
        ("en", "en"),
        ("en-US,en;q=0.9", "en"),
        ("zh-Hant;q=0.5, en;q=0.4", "zh-CN"),
        ("fr, de;q=0.2", "zh-CN"),
        ("en;q=0", "zh-CN"),
        ("en;q=x", "zh-CN"),
        ("EN ; q=1.0", "en"),
    ],
)
def test_the_best_known_language_wins(header: str | None, want: Tag) -> None:
    assert negotiate(header, "zh-CN") == want
