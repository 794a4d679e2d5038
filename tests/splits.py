"""A small split model, published; its own orders are the kind's examples."""

import time
from functools import cache

from models.bundle import save_bundle
from models.domain import ModelRef
from models.split.decide import SplitDecision, decide_split
from models.split.policy import SplitPolicy, built_in_split_policy
from models.split.policy_store import save_split_policy
from service.live import SPLIT, Publication
from service.usecases.publish import publish
from service.wiring import Platform
from tests.models.split import examples

EXAMPLES = ("two-parcels", "just-in-time", "no-plan")


@cache
def decided(name: str = "two-parcels", *, seconds: float = 5.0) -> SplitDecision:
    """Decide an example without a service."""
    model = examples.lateness_model()
    body = examples.example_order(name)
    return decide_split(model, weights(seconds), model.policy_ref, body, time.perf_counter)


def weights(seconds: float = 5.0) -> SplitPolicy:
    """Return the policy that ships, with its time limit."""
    return built_in_split_policy().model_copy(update={"time_limit_seconds": seconds})


def publish_split(platform: Platform, policy: SplitPolicy | None = None) -> None:
    """Publish the small model of lateness with a split policy."""
    bundle = examples.lateness_bundle()
    save_bundle(platform.settings.bundles, bundle)
    saved = save_split_policy(platform.settings.policies, policy or built_in_split_policy())
    model = ModelRef(SPLIT, "1", bundle.digest, "run-1")
    publish(platform, Publication(SPLIT, model, saved, bootstrap=True, actor="test"))
