"""Bundles over purged records: what is gone is named, and nothing else may be."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reports.evidence import EvidenceRequest
from service.settings import Settings
from service.usecases.export import export_evidence
from service.usecases.purge import purge_records
from service.wiring import open_platform
from tests.reports.bundles import (
    REASON,
    START,
    Altered,
    Clock,
    failed_steps,
    log_signer,
    record_week,
    run_alone,
)

ALL = EvidenceRequest(reason=REASON)
EARLY = EvidenceRequest(from_at=START, to_at=START + timedelta(days=5), reason=REASON)


@pytest.fixture
def purged(settings: Settings) -> str:
    """Return the verifier key of a log of a week; what is not of its chain of day 6 is purged."""
    clock = Clock()
    vkey = record_week(settings, clock)
    # Day 3 was overridden on day 6, and so stays with day 6 itself.
    clock.moment = START + timedelta(days=1_096 + 5, hours=2)
    with open_platform(settings, now=clock.now) as platform:
        done = purge_records(platform, actor="test", is_trial=False)
        assert done["records"] == {"decision": 5}
    return vkey


def export(settings: Settings, out: Path, request: EvidenceRequest) -> Path:
    with open_platform(settings) as platform:
        export_evidence(platform, request, out, actor="test")
    return out


@pytest.mark.parametrize("request_", [ALL, EARLY])
def test_a_bundle_over_purged_records_is_good(
    settings: Settings, purged: str, tmp_path: Path, request_: EvidenceRequest
) -> None:
    """Also where the purge's own entry lies outside the range."""
    path = export(settings, tmp_path / "bundle.zip", request_)
    code, said = run_alone(tmp_path, "--key", purged, str(path))
    assert code == 0, said
    assert "were purged when their retention had ended" in said


def claim_another(altered: Altered) -> None:
    def move(lines: list[dict[str, Any]]) -> None:
        lines[0]["purged_by"] = lines[0]["leaf_index"] + 1

    altered.objects("purged.jsonl", move)


def take_kept_facts(altered: Altered) -> None:
    """Leave out facts that were not purged, and say that they were."""

    def place_of(line: bytes) -> int:
        return int(line.split(b":", 2)[1].split(b",")[0])

    kept = next(
        line
        for line in altered.files["facts.jsonl"].splitlines(keepends=True)
        if b'"form":"model"' in line
    )
    altered.lines("facts.jsonl", lambda lines: lines.remove(kept))

    def add(lines: list[dict[str, Any]]) -> None:
        lines.append({"leaf_index": place_of(kept), "purged_by": lines[0]["purged_by"]})
        lines.sort(key=lambda line: int(line["leaf_index"]))

    altered.objects("purged.jsonl", add)


def drop_claim(altered: Altered) -> None:
    altered.lines("purged.jsonl", lambda lines: lines.pop(0))


@pytest.mark.parametrize("alter", [claim_another, take_kept_facts, drop_claim])
def test_what_a_purge_does_not_cover_fails_the_step_facts(
    settings: Settings, purged: str, tmp_path: Path, alter: Callable[[Altered], None]
) -> None:
    altered = Altered(export(settings, tmp_path / "bundle.zip", ALL))
    alter(altered)
    altered.sign_again(log_signer(settings))
    assert "facts" in failed_steps(altered.pack(tmp_path / "altered.zip"), purged)
