"""Clean runs: whatever is done in whatever order, nobody is alarmed."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from audit.errors import IdempotencyConflictError, SubjectHeldError, SubjectNotFoundError
from reports.evidence import EvidenceRequest
from service.auth import Role
from service.keyfiles import rotate_key_encryption
from service.settings import Settings
from service.usecases.amend import override_decision, report_outcome
from service.usecases.check_store import verify_everything, verify_platform
from service.usecases.decide import decide_lines
from service.usecases.erase import erase_subject, hold_subject
from service.usecases.export import export_evidence
from service.usecases.keys import create_key, revoke_key
from service.usecases.lines import Ask, Line
from service.usecases.log_keys import rotate_key
from service.wiring import Platform, open_platform
from tests.conftest import publish_small_model
from tests.models import examples

pytestmark = pytest.mark.xdist_group("attacks")

ASK = Ask("parcel", "oms", "POST /v1/decisions/parcel", "en")
CUSTOMERS = ("C-1", "C-2", "C-3", None)


class History:
    """Does things with a platform, drawn at random; what a history does is all in its seed."""

    def __init__(self, platform: Platform, seed: int) -> None:
        self.platform = platform
        self.random = Random(seed)  # noqa: S311 - the same histories each time
        self.lines: list[Line] = []
        self.alive: dict[str, str] = {}
        self.count = 0

    def step(self) -> None:
        """Do one thing."""
        steps: list[Callable[[], None]] = [
            *([self.decide] * 3 + [self.repeat] * 2 + [self.amend] * 2 + [self.erase] * 2),
            *(self.conflict, self.hold, self.rotate, self.wrap, self.use_keys, self.export),
        ]
        self.random.choice(steps)()

    def decide(self) -> None:
        lines = []
        for _ in range(self.random.choice((1, 1, 2, 5))):
            self.count += 1
            customer = {
                "customer_id": self.random.choice(CUSTOMERS),
                "recent_orders": [{"ordered": 10, "returned": self.random.randrange(10)}],
            }
            stock = float(self.random.randrange(90))
            order = examples.order(order_id=f"P-{self.count}", stock=stock, customer=customer)
            key = f"key-{self.count}" if self.random.random() < 0.6 else None
            lines.append(Line(order, key))
        for line, answer in zip(lines, self._decide(lines), strict=True):
            self.alive[answer["decision_id"]] = str(answer["order_id"])
            if line.idempotency_key is not None:
                self.lines.append(line)

    def repeat(self) -> None:
        if self.lines:
            [answer] = self._decide([self.random.choice(self.lines)])
            self.alive[answer["decision_id"]] = "again"

    def conflict(self) -> None:
        if self.lines:
            key = self.random.choice(self.lines).idempotency_key
            self.count += 1
            other = Line(examples.order(order_id=f"X-{self.count}"), key)
            [answer] = decide_lines(self.platform, ASK, [other])
            # The key of an erased order is free again.
            assert isinstance(answer, dict | IdempotencyConflictError)

    def amend(self) -> None:
        if not self.alive:
            return
        decision_id = self.random.choice(list(self.alive))
        if self.random.random() < 0.5:
            override_decision(
                self.platform,
                decision_id=decision_id,
                actor="test",
                outcome="accept",
                reason_code="KNOWN",
                comment="known",
                idempotency=None,
            )
        else:
            report_outcome(
                self.platform,
                decision_id=decision_id,
                actor="test",
                label=self.random.choice(("adverse", "favourable", "other")),
                observed_at=datetime(2026, 2, 1, tzinfo=UTC),
                details={},
                idempotency=None,
            )

    def erase(self) -> None:
        name = self.random.choice(CUSTOMERS)
        try:
            if name is None:
                order_id = f"P-{self.random.randrange(1, self.count + 2)}"
                erased = erase_subject(
                    self.platform, order_id, kind="order", actor="test", reason="R"
                )
            else:
                erased = erase_subject(
                    self.platform, name, kind="subject", actor="test", reason="R"
                )
        except (SubjectNotFoundError, SubjectHeldError):
            return
        gone: Any = erased["decision_ids"]
        for decision_id in gone:
            self.alive.pop(decision_id, None)

    def hold(self) -> None:
        try:
            hold_subject(
                self.platform,
                "C-1",
                kind="subject",
                actor="test",
                reason="court",
                is_held=self.random.random() < 0.5,
            )
        except SubjectNotFoundError:
            return

    def rotate(self) -> None:
        rotate_key(self.platform, "test")

    def wrap(self) -> None:
        rotate_key_encryption(self.platform.settings, self.platform.subject_keys)

    def use_keys(self) -> None:
        key, _ = create_key(self.platform, "another", Role.OMS, "test")
        if self.random.random() < 0.5:
            revoke_key(self.platform, key.id, "test")

    def export(self) -> None:
        reason = self.random.choice((None, "court order"))
        out = self.platform.settings.var / f"{self.count}.zip"
        export_evidence(self.platform, EvidenceRequest(reason=reason), out, actor="test")

    def _decide(self, lines: list[Line]) -> list[dict[str, Any]]:
        answers = decide_lines(self.platform, ASK, lines)
        found = [answer for answer in answers if isinstance(answer, dict)]
        assert len(found) == len(lines), answers
        return found


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return the settings of a platform with a live model, closed; histories begin as copies."""
    var = tmp_path_factory.mktemp("published") / "var"
    settings = Settings(var=var, model_refresh_seconds=0, log_level="error")
    with open_platform(settings) as platform:
        publish_small_model(platform)
    return settings


@contextmanager
def begun(published: Settings, folder: Path) -> Iterator[Settings]:
    var = folder / "run"
    shutil.copytree(published.var, var)
    yield published.model_copy(update={"var": var})
    shutil.rmtree(var)


def run(published: Settings, folder: Path, seed: int) -> int:
    """Run one history of two to ten steps, verify it open and closed; return its entries."""
    with begun(published, folder) as settings:
        with open_platform(settings) as platform:
            history = History(platform, seed)
            for _ in range(history.random.randrange(2, 11)):
                history.step()
            report = verify_platform(platform)
        assert report.problems == (), seed
        # What was closed opens again as it was, without a word to say.
        if seed % 10 == 0:
            assert verify_everything(settings) == report
        return report.tree_size


def test_no_history_alarms(published: Settings, tmp_path: Path) -> None:
    """Twenty random histories, each verified."""
    sizes = {run(published, tmp_path, seed) for seed in range(20)}
    assert len(sizes) > 5


@pytest.mark.trial
def test_a_thousand_histories_do_not_alarm(published: Settings, tmp_path: Path) -> None:
    """A thousand of them."""
    begun_at = time.perf_counter()
    sizes = [run(published, tmp_path, seed) for seed in range(1_000, 2_000)]
    seconds = time.perf_counter() - begun_at
    print(f"{len(sizes)} runs, {sum(sizes)} entries, {seconds:.0f} s")  # noqa: T201 - a trial reports
