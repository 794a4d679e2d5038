"""The kind files of the trials, checked without the data."""

from pathlib import Path

import pytest

from models.domain import Side
from models.features import Extractor
from models.kind import Kind, load_kind
from models.order import OrderSchema
from models.reasons import ReasonCatalogue

_KINDS = tuple(sorted((Path(__file__).parent / "kinds").glob("*.toml")))


@pytest.fixture(params=_KINDS, ids=lambda path: path.stem)
def kind(request: pytest.FixtureRequest) -> Kind:
    return load_kind(Path(request.param))


def test_examples_can_be_posted(kind: Kind) -> None:
    schema = OrderSchema(kind)
    assert len(kind.examples) >= 3
    for example in kind.examples:
        assert schema.parse(example.order.encode()).unknown_fields == ()


def test_no_excluded_column_reaches_the_model(kind: Kind) -> None:
    places = {field.path: field.column or field.path for field in kind.request}
    values = (*kind.features, *kind.context)
    read = {
        places[path]
        for value in values
        for path in (value.source, *value.inputs)
        if path is not None
    }
    assert kind.training.excluded
    assert not read & {excluded.column for excluded in kind.training.excluded}


def test_every_group_has_a_sentence_for_a_whole_and_for_an_empty_order(kind: Kind) -> None:
    schema, extractor, catalogue = OrderSchema(kind), Extractor(kind), ReasonCatalogue(kind)
    whole = extractor.snapshot(schema.parse(kind.examples[0].order.encode()).values)
    empty = extractor.snapshot({})
    for side, sign in ((Side.ADVERSE, 1.0), (Side.FAVOURABLE, -1.0)):
        values = {feature.name: sign for feature in kind.features}
        said = catalogue.reasons(whole, values, side)
        plain = catalogue.reasons(empty, values, side)
        assert {reason.group for reason in said} == {group.name for group in kind.groups}
        assert all(reason.code.endswith("_PLAIN") for reason in plain)
        assert not any(reason.code.endswith("_PLAIN") for reason in said)
        assert all("–" not in reason.text.zh + reason.text.en for reason in (*said, *plain))
