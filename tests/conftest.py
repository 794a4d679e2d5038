"""Fixtures that several packages share: a small live model in a store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from models.bundle import save_bundle, save_policy
from models.domain import ModelRef
from service.live import Publication
from service.settings import Settings
from service.usecases.publish import publish
from service.wiring import Platform, open_platform
from tests.models import examples

# How long a case takes is no property of the code: other work may share the machine.
hypothesis_settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("unhurried")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path / "var", model_refresh_seconds=0, log_level="error")


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with open_platform(settings) as opened:
        publish_small_model(opened)
        yield opened


def publish_small_model(platform: Platform, version: str = "1") -> None:
    """Publish the kind `parcel` of `tests/models/examples.py`."""
    bundle = examples.bundle()
    save_bundle(platform.settings.bundles, bundle)
    policy = save_policy(platform.settings.policies, bundle.kind.policy)
    model = ModelRef("parcel", version, bundle.digest, "run-1")
    publish(platform, Publication("parcel", model, policy, bootstrap=True, actor="test"))
