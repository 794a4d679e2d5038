"""What made a decision is read from facts of any form."""

import pytest

from audit.canonical import facts_json
from audit.errors import RecordMalformedError
from audit.facts import build_facts
from audit.split_facts import build_split_facts
from audit.versions import parse_versions
from tests.audit.sample import make_decision
from tests.splits import decided


def test_every_form_names_what_made_it() -> None:
    one, other = make_decision(), decided()
    model = parse_versions(facts_json(build_facts(one, "oms", bytes(32))))
    split = parse_versions(facts_json(build_split_facts(other, "CNY", "oms", bytes(32))))
    assert (model.kind, model.model, model.policy) == (one.kind, one.model, one.policy)
    assert (split.kind, split.model, split.policy) == (other.kind, other.model, other.policy)


def test_facts_of_another_entry_are_refused() -> None:
    with pytest.raises(RecordMalformedError):
        parse_versions(b'{"kind": "split"}')
