"""Small models of the built-in kinds, published without the registry: enough to be decided by."""

from collections.abc import Callable
from functools import cache

import numpy as np

from models.bundle import Bundle, Explainer, build_bundle, save_bundle, save_policy
from models.conformal import build_conformal
from models.domain import ModelRef
from models.features import feature_code
from models.kind import Kind, built_in_kind
from models.policy_document import Policy
from models.scorer import EXPLAINER_ID, lightgbm_version
from models.split.policy import built_in_split_policy
from models.split.policy_store import save_split_policy
from models.split.request import split_kind
from service.live import SPLIT, Publication
from service.usecases.publish import publish
from service.usecases.references import ensure_built_in
from service.wiring import Platform
from training.calibrate import calibrate
from training.dataset import build_dataset, category_tables, encode_dataset, matrix_digest
from training.fit import fit_trees, predict_margins
from training.pipeline import source_of_simulation
from training.simulator import simulate

_ORDERS = 4_000
_SEED = 1


def publish_built_in(
    platform: Platform,
    name: str,
    change_policy: Callable[[Policy], Policy] = lambda policy: policy,
) -> None:
    """Train on a few thousand simulated orders and publish, under the kind's policy or another.

    A split is published under the split policy that ships.
    """
    bundle = _trained(name)
    kind = bundle.kind
    save_bundle(platform.settings.bundles, bundle)
    if name == SPLIT:
        policy = save_split_policy(platform.settings.policies, built_in_split_policy())
    else:
        policy = save_policy(platform.settings.policies, change_policy(kind.policy))
    model = ModelRef(name, "1", bundle.digest, "run")
    ensure_built_in(platform, kind, "test")
    publish(platform, Publication(name, model, policy, bootstrap=True, actor="test"))


@cache
def _trained(name: str) -> Bundle:
    return train_bundle(split_kind() if name == SPLIT else built_in_kind(name))


def train_bundle(kind: Kind) -> Bundle:
    """Return a bundle trained on a few thousand simulated orders."""
    name = kind.name
    dataset = build_dataset(kind, source_of_simulation(simulate(name, _ORDERS, _SEED), _SEED))
    fit, stop, rest = np.split(np.arange(_ORDERS), [2_000, 2_500])
    categories = category_tables(dataset, fit)
    matrix, labels = encode_dataset(dataset, categories), dataset.labels
    fitted = fit_trees(kind, (matrix[fit], labels[fit]), (matrix[stop], labels[stop]), _SEED)
    margins = predict_margins(fitted.model_text, matrix[rest])
    return build_bundle(
        kind=kind,
        model_text=fitted.model_text,
        calibration=calibrate(margins, labels[rest]),
        categories=categories,
        explainer=Explainer(EXPLAINER_ID, lightgbm_version()),
        background_digest=matrix_digest(matrix[fit]),
        feature_code=feature_code(),
        libraries={},
        conformal=build_conformal(margins.tolist(), labels[rest].tolist()),
    )
