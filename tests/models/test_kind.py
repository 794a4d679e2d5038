"""A kind is a file, and a wrong file is refused at the place that is wrong."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import KindFileError
from models.kind import built_in_kind, built_in_names, load_kind, parse_kind
from tests.models.examples import DOCUMENT, small_kind

Change = Callable[[dict[str, Any]], object]


def _first(part: str, **values: object) -> Change:
    return lambda document: document[part][0].update(values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_first("request", path="Order Id"), "not a path"),
        (_first("request", type="text"), "request.0.type"),
        (_first("features", source="stock"), "either source or function"),
        (_first("features", inputs=()), "needs inputs"),
        (_first("features", inputs=("nowhere",)), "no field 'nowhere'"),
        (_first("features", group="nowhere"), "no group"),
        (_first("features", name="stock"), "named twice"),
        (_first("context", source="order_id"), "personal"),
        (_first("reasons", when=("unknown > 1",)), "unknown values: unknown"),
        (_first("reasons", zh="{unknown}"), "unknown values"),
        (_first("reasons", when=("a ~ b",)), "not a condition"),
        (lambda document: document["reasons"].pop(), "no plain favourable template"),
        (lambda document: document["summaries"].pop(), "each outcome needs a summary"),
        (lambda document: document.update(order_id="nowhere"), "no field 'nowhere'"),
        (lambda document: document["policy"].update(review_at=0.9), "must not be above"),
        (
            lambda document: document.update(training={"fractions": (0.5, 0.1, 0.1, 0.1)}),
            "sum to 1",
        ),
        (lambda document: document.update(surprise=1), "surprise"),
    ],
)
def test_a_wrong_kind_is_refused(change: Change, message: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    with pytest.raises(KindFileError, match=message):
        parse_kind(document)


def test_a_kind_survives_its_canonical_form() -> None:
    kind = small_kind()
    canonical = kind.canonical()
    assert isinstance(canonical, dict)
    assert parse_kind(canonical) == kind


def test_files_that_are_not_kinds(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("name = ", encoding="utf-8")
    with pytest.raises(KindFileError, match=r"broken\.toml"):
        load_kind(tmp_path / "broken.toml")
    with pytest.raises(KindFileError, match=r"absent\.toml"):
        load_kind(tmp_path / "absent.toml")
    with pytest.raises(KindFileError, match="no built-in kind"):
        built_in_kind("nowhere")


def test_built_in_kinds_load() -> None:
    assert {"admission", "risk"} <= set(built_in_names())
    for name in built_in_names():
        assert built_in_kind(name).name == name
