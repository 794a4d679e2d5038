"""A policy is one document, whole or refused, with a digest that does not depend on new parts."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.bundle import load_policy, save_policy
from models.errors import PolicyError
from models.kind import built_in_kind, load_kind
from models.policy_document import (
    Policy,
    built_in_policy,
    built_in_policy_names,
    load_policy_file,
    parse_policy,
)
from tests.models.examples import small_kind

PLAIN: dict[str, Any] = {"name": "p", "version": "1", "review_at": 0.3, "adverse_at": 0.6}
RULE: dict[str, Any] = {
    "id": "r",
    "effect": "review",
    "when": ["stock < 1"],
    "zh": "缺货",
    "en": "none left",
}
CAP: dict[str, Any] = {"id": "c", "effect": "review", "limit": 3, "zh": "满", "en": "full"}
GRANTED: dict[str, Any] = {
    "id": "e",
    "rule": "r",
    "actor": "head",
    "reason": "why",
    "expires_on": "2026-03-31",
}
STAYS: dict[str, Any] = {"id": "s", "marks": ["domestic"], "zh": "留", "en": "stays"}


def test_a_plain_policy_is_written_as_it_always_was(tmp_path: Path) -> None:
    """Parts that a policy does not use are not in its bytes, so its digest stays what it was."""
    policy = small_kind().policy
    digest = save_policy(tmp_path, policy).digest
    written = json.loads((tmp_path / f"{digest.replace(':', '-')}.json").read_bytes())
    assert set(written) == {"name", "version", "review_at", "adverse_at", "rules"}


def test_every_part_survives_the_disk(tmp_path: Path) -> None:
    policy = parse_policy(
        {
            **PLAIN,
            "rules": [RULE],
            "decision": {"nodes": [], "edges": [], "limit": 0.1},
            "promise": {"adverse": 0.1, "favourable": 0.05},
            "on_review": "provisional",
            "precedence": ["rule", "set", "model"],
            "caps": [CAP],
            "exceptions": [GRANTED],
            "residency": [STAYS],
            "stale_effect": "none",
        }
    )
    reference = save_policy(tmp_path, policy)
    assert load_policy(tmp_path, reference.digest) == policy
    assert save_policy(tmp_path, load_policy(tmp_path, reference.digest)) == reference


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"review_at": 0.7}, "review_at must not be above adverse_at"),
        ({"surprise": 1}, "surprise"),
        ({"on_review": "maybe"}, "on_review"),
        ({"promise": {"adverse": 0, "favourable": 0.1}}, "promise.adverse"),
        ({"rules": [RULE, {**RULE}]}, "rule named twice: r"),
        ({"rules": [RULE], "caps": [{**CAP, "id": "r"}]}, "rule named twice: r"),
        ({"exceptions": [GRANTED, GRANTED]}, "named twice: e"),
        ({"residency": [STAYS, STAYS]}, "named twice: s"),
        ({"caps": [{**CAP, "limit": None}]}, "c: a cap needs limits or a limit"),
        ({"caps": [{**CAP, "limits": {"vip": 1}}]}, "c: limits by tier need the name"),
        ({"caps": [{**CAP, "limit": -1}]}, "caps.0.limit"),
        ({"caps": [{**CAP, "when": ["a ~ b"]}]}, "not a condition"),
        ({"residency": [{**STAYS, "when": ["a ~ b"]}]}, "not a condition"),
        ({"exceptions": [{**GRANTED, "when": ["a ~ b"]}]}, "not a condition"),
        ({"exceptions": [{**GRANTED, "actor": ""}]}, "exceptions.0.actor"),
        ({"exceptions": [{**GRANTED, "expires_on": None}]}, "exceptions.0.expires_on"),
        ({"exceptions": [{**GRANTED, "approved_on": "2026-04-01"}]}, "before it is approved"),
        ({"precedence": ["model", "model"]}, "names a voice twice"),
        ({"precedence": ["model", "rule"]}, "only an approved exception"),
        ({"precedence": ["rule", "set", "cap"]}, "only an approved exception"),
    ],
)
def test_a_policy_that_is_not_whole_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse_policy({**PLAIN, **changes})


def test_files_that_are_not_policies(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"broken\.json: policy: "):
        load_policy_file(tmp_path / "broken.json")
    with pytest.raises(PolicyError, match=r"absent\.json cannot be read"):
        load_policy_file(tmp_path / "absent.json")
    with pytest.raises(PolicyError, match="no built-in policy 'nowhere'"):
        built_in_policy("nowhere")


def test_a_kind_may_name_the_file_of_its_policy(tmp_path: Path) -> None:
    policy = Policy(name="own", version="9", review_at=0.1, adverse_at=0.2)
    (tmp_path / "own.json").write_text(policy.model_dump_json(), encoding="utf-8")
    source = Path(__file__).parents[2] / "tests/trials/kinds"
    text = next(
        text
        for path in sorted(source.glob("*.toml"))
        if "[policy]" in (text := path.read_text(encoding="utf-8"))
    )
    head, _, rest = text.partition("[policy]\n")
    later = rest.partition("\n[")
    (tmp_path / "kind.toml").write_text(
        'policy = "own.json"\n' + head + later[1].strip("\n") + later[2], encoding="utf-8"
    )
    assert load_kind(tmp_path / "kind.toml").policy == policy
    (tmp_path / "own.json").unlink()
    with pytest.raises(PolicyError, match="cannot be read"):
        load_kind(tmp_path / "kind.toml")


@pytest.mark.parametrize("name", built_in_policy_names())
def test_a_built_in_kind_is_governed_by_the_policy_of_its_file(name: str) -> None:
    assert built_in_kind(name).policy == built_in_policy(name)
