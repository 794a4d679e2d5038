"""Live means a publication entry of the log."""

import shutil

import pytest

from audit.errors import RecordMalformedError
from models.domain import ModelRef, PolicyRef
from models.errors import BundleCorruptError
from service import live
from service.errors import KindNotFoundError, NoLiveModelError
from service.live import LiveModels, Publication, Shelf, parse_publication
from service.settings import Settings
from service.usecases.publish import publish
from service.wiring import Platform
from tests.conftest import publish_small_model


def test_the_latest_publication_is_live(platform: Platform) -> None:
    assert platform.live.get("parcel").model_ref.version == "1"
    publish_small_model(platform, "2")
    assert platform.live.get("parcel").model_ref.version == "2"
    assert platform.live.publications()["parcel"].bootstrap
    assert {"admission", "parcel", "risk"} <= set(platform.live.names())


def test_the_log_is_asked_once_in_a_while(platform: Platform) -> None:
    seconds = [0.0]
    models = LiveModels(platform.store, platform.shelf, 10.0, lambda: seconds[0])
    assert models.get("parcel").model_ref.version == "1"
    publish_small_model(platform, "2")
    seconds[0] = 9.0
    assert models.get("parcel").model_ref.version == "1"
    seconds[0] = 11.0
    assert models.get("parcel").model_ref.version == "2"


def test_many_publications_are_read_page_by_page(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_PAGE", 2)
    for version in range(2, 6):
        publish_small_model(platform, str(version))
    assert platform.live.get("parcel").model_ref.version == "5"


def test_models_that_are_no_longer_used_leave_memory(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_KEPT_MODELS", 1)
    first = platform.live.get("parcel")
    publish_small_model(platform, "2")
    assert platform.live.get("parcel") is not first
    assert len(platform.shelf._models) == 1
    assert platform.live.get("parcel") is platform.live.get("parcel")


def test_a_kind_without_publication_has_no_live_model(platform: Platform) -> None:
    with pytest.raises(NoLiveModelError):
        platform.live.get("admission")
    with pytest.raises(KindNotFoundError):
        platform.live.get("nonsense")


def test_a_model_that_cannot_be_loaded_is_not_published(platform: Platform) -> None:
    nothing = ModelRef("parcel", "9", "sha256:00", "run")
    policy = PolicyRef("parcel", "1", "sha256:00")
    with pytest.raises(BundleCorruptError):
        publish(platform, Publication("parcel", nothing, policy, bootstrap=False, actor="test"))
    assert platform.live.get("parcel").model_ref.version == "1"


def test_damaged_files_are_noticed(platform: Platform, settings: Settings) -> None:
    publication = platform.live.publications()["parcel"]
    shutil.rmtree(settings.bundles)
    with pytest.raises(BundleCorruptError):
        Shelf(settings.bundles, settings.policies, settings.kinds).load(
            publication.model, publication.policy
        )


def test_facts_of_something_else_are_no_publication() -> None:
    with pytest.raises(RecordMalformedError):
        parse_publication(b"{}")
