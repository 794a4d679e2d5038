"""A small kind that asks two reference tables, and tables for it to ask."""

from pathlib import Path
from typing import Any

import orjson

from models.bundle import Explainer, build_bundle, save_bundle, save_policy
from models.domain import ModelRef
from models.features import feature_code
from models.kind import Kind
from models.reference import ReferenceTable, parse_reference
from models.scorer import EXPLAINER_ID
from service.live import Publication
from service.usecases.publish import publish
from service.wiring import Platform
from tests.models import examples

TABLES = ("sanctioned_destinations", "sanctioned_parties")
_FIELDS = [
    {"path": "country", "type": "string"},
    {"path": "name", "type": "string", "personal": True},
]
_LOOKUPS = [
    {
        "name": "destination",
        "table": "sanctioned_destinations",
        "inputs": ["country"],
        "keys": ["country"],
    },
    {
        "name": "party",
        "table": "sanctioned_parties",
        "match": "fuzzy",
        "inputs": ["name"],
        "keys": ["name"],
        "personal": True,
    },
]
_RULES = [
    {
        "id": "destination-sanctioned",
        "when": ["destination_matched == true"],
        "effect": "reject",
        "zh": "目的国在名单{destination_entry}上",
        "en": "the destination is entry {destination_entry} of the list",
    },
    {
        "id": "party-sanctioned",
        "when": ["party_matched == true"],
        "effect": "review",
        "zh": "名称相似度{party_score}",
        "en": "the name is {party_score} similar to one of the list",
    },
]


def listed_kind(name: str = "listed", lookups: list[dict[str, Any]] | None = None) -> Kind:
    return examples.small_kind(
        name=name,
        request=examples.DOCUMENT["request"] + _FIELDS,
        lookups=_LOOKUPS if lookups is None else lookups,
        policy={
            **examples.DOCUMENT["policy"],
            "name": name,
            "rules": _RULES if lookups is None else [],
        },
    )


def publish_listed(platform: Platform, kind: Kind | None = None) -> Kind:
    kind = kind or listed_kind()
    bundle = build_bundle(
        kind=kind,
        model_text=examples.model_text(),
        calibration=examples.calibration(),
        categories={"channel": ("tmall", "amazon")},
        explainer=Explainer(EXPLAINER_ID, "4"),
        background_digest="sha256:00",
        feature_code=feature_code(),
        libraries={},
    )
    save_bundle(platform.settings.bundles, bundle)
    policy = save_policy(platform.settings.policies, kind.policy)
    model = ModelRef(kind.name, "1", bundle.digest, "run")
    publish(platform, Publication(kind.name, model, policy, bootstrap=True, actor="test"))
    return platform.shelf.load(model, policy).kind


def destinations(*countries: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    """Return the document of a list of destinations, newer than the built-in one."""
    return {
        "name": "sanctioned_destinations",
        "title": {"zh": "名单", "en": "list"},
        "source": "test",
        "as_of": "2026-02-01T00:00:00Z",
        "staleness_days": 30,
        "columns": ["country"],
        "rows": [
            {"id": f"D-{country}", "valid_from": None, "values": {"country": country}}
            for country in countries
        ],
        **changes,
    }


def table(*countries: str, **changes: Any) -> ReferenceTable:  # noqa: ANN401 - any field
    return parse_reference(destinations(*countries, **changes))


def write(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "table.json"
    path.write_bytes(orjson.dumps(document))
    return path
