"""A small kind, model and orders that the tests of this package share."""

from functools import cache
from typing import Any

import lightgbm
import numpy as np
import orjson

from models.bundle import Bundle, Explainer, build_bundle
from models.calibration import Calibration
from models.decide import LoadedModel, load_model
from models.domain import ModelRef, PolicyRef
from models.features import feature_code
from models.kind import Kind, parse_kind
from models.scorer import EXPLAINER_ID

DOCUMENT: dict[str, Any] = {
    "name": "parcel",
    "version": "1",
    "title": {"zh": "包裹", "en": "Parcel"},
    "adverse_event": {"zh": "晚到", "en": "late"},
    "order_id": "order_id",
    "placed_at": "placed_at",
    "subject_id": "customer.customer_id",
    "outcomes": {
        "favourable": {"code": "accept", "title": {"zh": "接受", "en": "accept"}},
        "review": {"code": "review", "title": {"zh": "复核", "en": "review"}},
        "adverse": {"code": "reject", "title": {"zh": "拒绝", "en": "reject"}},
    },
    "request": [
        {"path": "order_id", "type": "string", "required": True, "personal": True},
        {"path": "placed_at", "type": "datetime", "required": True},
        {"path": "customer.customer_id", "type": "string", "personal": True},
        {"path": "customer.recent_orders[].ordered", "type": "integer", "minimum": 0},
        {"path": "customer.recent_orders[].returned", "type": "integer", "minimum": 0},
        {"path": "stock", "type": "number", "minimum": 0, "maximum": 1000},
        {"path": "express", "type": "boolean"},
        {"path": "channel", "type": "string", "enum": ["tmall", "amazon"]},
        {"path": "rule.since", "type": "date", "title": {"zh": "生效日", "en": "in force"}},
        {"path": "lines[]", "type": "object", "max_items": 3},
        {"path": "lines[].quantity", "type": "integer"},
        {"path": "tags[]", "type": "string", "max_items": 2},
    ],
    "groups": [
        {"name": "returns", "title": {"zh": "退货", "en": "returns"}},
        {"name": "stock", "title": {"zh": "库存", "en": "stock"}},
        {"name": "other", "title": {"zh": "其他", "en": "other"}},
    ],
    "features": [
        {
            "name": "return_rate",
            "function": "ratio",
            "inputs": ["customer.recent_orders[].returned", "customer.recent_orders[].ordered"],
            "params": {"last": 3},
            "title": {"zh": "退货率", "en": "return rate"},
            "monotone": 1,
            "group": "returns",
        },
        {
            "name": "stock",
            "source": "stock",
            "title": {"zh": "库存", "en": "stock"},
            "monotone": -1,
            "group": "stock",
            "actionable": {"minimum": 0, "maximum": 400, "scale": 100},
        },
        {
            "name": "express",
            "source": "express",
            "type": "boolean",
            "title": {"zh": "加急", "en": "express"},
            "group": "other",
        },
        {
            "name": "channel",
            "source": "channel",
            "type": "category",
            "title": {"zh": "渠道", "en": "channel"},
            "group": "other",
        },
    ],
    "context": [
        {"name": "rule_since", "source": "rule.since"},
        {"name": "pieces", "function": "total", "inputs": ["lines[].quantity"]},
    ],
    "reasons": [
        {
            "code": "RETURNS_HIGH",
            "group": "returns",
            "side": "adverse",
            "when": ["return_rate > 0"],
            "zh": "近3单退货率{return_rate:percent}%",
            "en": "{return_rate:percent} % of the last 3 orders came back",
        },
        {
            "code": "STOCK_LOW",
            "group": "stock",
            "side": "adverse",
            "when": ["stock < 50"],
            "zh": "库存仅剩{stock}件",
            "en": "{stock} left in stock",
        },
        *(
            {
                "code": f"{group.upper()}_{side.upper()}",
                "group": group,
                "side": side,
                "zh": f"{group}{side}",
                "en": f"{group} {side}",
            }
            for group in ("returns", "stock", "other")
            for side in ("adverse", "favourable")
        ),
    ],
    "summaries": [
        {"outcome": "adverse", "when": ["channel == 'amazon'"], "zh": "拒绝跨境:", "en": "no: "},
        {"outcome": "adverse", "zh": "拒绝:", "en": "rejected because: "},
        {"outcome": "review", "zh": "复核:", "en": "review because: "},
        {"outcome": "favourable", "zh": "接受:", "en": "accepted because: "},
    ],
    "policy": {
        "name": "parcel",
        "version": "2026-01",
        "review_at": 0.4,
        "adverse_at": 0.7,
        "rules": [
            {
                "id": "old-rule",
                "when": ["rule_since < pieces"],
                "effect": "none",
                "zh": "从不",
                "en": "never",
            },
            {
                "id": "many-pieces",
                "when": ["pieces > 100"],
                "effect": "review",
                "zh": "{pieces}件",
                "en": "{pieces} pieces",
            },
        ],
    },
    "examples": [
        {
            "name": "plain",
            "title": {"zh": "普通", "en": "plain"},
            "order": '{"order_id": "P-1", "placed_at": "2026-02-01T10:00:00+08:00"}',
        }
    ],
}


def small_kind(**changes: Any) -> Kind:  # noqa: ANN401 - any part of the document
    return parse_kind({**DOCUMENT, **changes})


def order(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return orjson.dumps(
        {"order_id": "P-1", "placed_at": "2026-02-01T10:00:00+08:00", "stock": 4.0, **changes}
    )


@cache
def model_text() -> str:
    random = np.random.default_rng(7)
    rows = np.column_stack(
        [
            random.random(4000),
            random.random(4000) * 200,
            random.integers(0, 2, 4000),
            random.integers(0, 2, 4000),
        ]
    )
    rows[random.random(rows.shape) < 0.05] = np.nan
    log_odds = 3 * np.nan_to_num(rows[:, 0]) - np.nan_to_num(rows[:, 1]) / 60 + rows[:, 0] * 0
    labels = random.random(4000) < 1 / (1 + np.exp(-np.nan_to_num(log_odds)))
    data = lightgbm.Dataset(rows, labels.astype(np.int8), categorical_feature=[3])
    parameters = {
        "objective": "binary",
        "num_leaves": 15,
        "monotone_constraints": [1, -1, 0, 0],
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": 1,
        "verbosity": -1,
    }
    return str(lightgbm.train(parameters, data, 40).model_to_string())


def calibration() -> Calibration:
    return Calibration(
        margins=(-3.0, 0.0, 3.0),
        probabilities=(0.05, 0.5, 0.95),
        low_margins=(-1.0, 1.0),
        low=(0.02, 0.3, 0.7),
        high_margins=(-1.0, 1.0),
        high=(0.32, 0.72, 0.99),
    )


@cache
def bundle() -> Bundle:
    return build_bundle(
        kind=small_kind(),
        model_text=model_text(),
        calibration=calibration(),
        categories={"channel": ("tmall", "amazon")},
        explainer=Explainer(EXPLAINER_ID, "4"),
        background_digest="sha256:00",
        feature_code=feature_code(),
        libraries={"lightgbm": "4"},
    )


@cache
def loaded() -> LoadedModel:
    made = bundle()
    reference = ModelRef("parcel", "1", made.digest, "run")
    policy = made.kind.policy
    return load_model(made, reference, policy, PolicyRef("parcel", "2026-01", "sha256:11"))
