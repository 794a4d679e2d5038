"""What can be decided."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from starlette.responses import Response

from models.chain import chain_examples
from models.domain import Json
from models.kind import Kind, built_in_kind, built_in_names
from models.order import OrderSchema
from models.sentences import Words
from models.split.request import order_schema, split_kind
from service.answers import JsonObject
from service.api import schemas
from service.api.access import OpenPlatform, allow
from service.api.contract import answers, refusals
from service.api.replies import json_reply
from service.auth import Action, Principal
from service.errors import KindNotFoundError
from service.live import SPLIT, Publication
from service.usecases.chain import CHAIN
from service.wiring import Platform

router = APIRouter(prefix="/v1/kinds", tags=["kinds"])
Reader = Annotated[Principal, Depends(allow(Action.READ_KINDS))]


@router.get(
    "",
    response_class=Response,
    responses={**answers(schemas.KindList, "All kinds."), **refusals(401, 403, 422)},
)
def list_kinds(platform: OpenPlatform, _reader: Reader) -> Response:
    """List every kind with its request schema, live model and examples."""
    kinds: list[Json] = [_describe(platform, name) for name in platform.live.names()]
    chain: Json = {"kinds": list(CHAIN), "examples": chain_examples()}
    return json_reply({"kinds": kinds, "chain": chain})


@router.get(
    "/{kind}",
    response_class=Response,
    responses={**answers(schemas.Kind, "The kind."), **refusals(401, 403, 404, 422)},
)
def read_kind(kind: str, platform: OpenPlatform, _reader: Reader) -> Response:
    """Show one kind with its request schema, live model and examples."""
    return json_reply(_describe(platform, kind))


def _describe(platform: Platform, name: str) -> JsonObject:
    publication = platform.live.publications().get(name)
    kind = _find_kind(platform, name, publication)
    outcomes = kind.outcomes
    return {
        "name": kind.name,
        "version": kind.version,
        "title": _words(kind.title),
        "adverse_event": _words(kind.adverse_event),
        "outcomes": [
            {"code": outcome.code, "title": _words(outcome.title)}
            for outcome in (outcomes.favourable, outcomes.review, outcomes.adverse)
        ],
        "request_schema": _request_schema(kind),
        "features": [
            {
                "name": feature.name,
                "title": _words(feature.title),
                "type": feature.type,
                "unit": feature.unit,
                "monotone": feature.monotone,
                "group": feature.group,
                "protected": feature.protected,
            }
            for feature in kind.features
        ],
        **_live(publication),
        "node": _node(kind),
        "examples": [
            {
                "name": example.name,
                "title": _words(example.title),
                "order": orjson.loads(example.order),
            }
            for example in kind.examples
        ],
    }


def _find_kind(platform: Platform, name: str, publication: Publication | None) -> Kind:
    if publication is not None:
        return platform.shelf.load_kind(publication.model, publication.policy)
    if name in built_in_names():
        return built_in_kind(name)
    if name == SPLIT:
        return split_kind()
    raise KindNotFoundError("there is no such kind")


def _request_schema(kind: Kind) -> JsonObject:
    # What a split's model sees of a candidate is computed, not asked for.
    schema = order_schema(kind) if kind.name == SPLIT else OrderSchema(kind)
    return schema.json_schema()


def _live(publication: Publication | None) -> JsonObject:
    if publication is None:
        return {"model": None, "policy": None}
    model, policy = publication.model, publication.policy
    return {
        "model": {
            "name": model.name,
            "version": model.version,
            "bundle": model.bundle,
            "run_id": model.run_id,
        },
        "policy": {"name": policy.name, "version": policy.version, "digest": policy.digest},
    }


def _node(kind: Kind) -> Json:
    """Return who answers when it is an outside node; where it stands is the operator's affair."""
    node = kind.node
    if node is None:
        return None
    marks: list[Json] = [*node.marks]
    return {
        "model": node.model,
        "version": node.version,
        "marks": marks,
        "explains": node.explains,
    }


def _words(words: Words) -> Json:
    return {"zh": words.zh, "en": words.en}
