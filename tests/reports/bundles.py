"""A log with decisions of several days, bundles of it, and ways to alter them."""

import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.checkpoint import LogSigner
from reports.evidence import EvidenceRequest
from reports.verifier.assembly import assemble_verifier
from reports.verifier.command import verify_bundle
from reports.verifier.signatures import STATEMENT
from service.settings import Settings
from service.usecases.amend import override_decision
from service.usecases.export import export_evidence
from service.usecases.lines import Ask, Line
from service.usecases.split import decide_any
from service.wiring import Platform, open_platform
from tests.models import examples
from tests.service.listed import publish_listed

START = datetime(2026, 3, 1, tzinfo=UTC)
REASON = "court order 12/2026"
PERIOD = EvidenceRequest(
    from_at=START + timedelta(days=2),
    to_at=START + timedelta(days=5),
    order_ids=("P-2", "P-3", "no-such-order", "P-0"),
    reason=REASON,
)


@dataclass(slots=True)
class Clock:
    """A clock that a test sets."""

    moment: datetime = START

    def now(self) -> datetime:
        return self.moment


def record_week(settings: Settings, clock: Clock) -> str:
    """Decide one order a day for a week, the order of day 3 overridden on day 6."""
    with open_platform(settings, now=clock.now) as platform:
        publish_listed(platform)
        ids = []
        for day in range(7):
            clock.moment = START + timedelta(days=day, hours=1)
            ids.append(decide(platform, f"P-{day}", stock=20.0 * day))
        override(platform, ids[3])
        return platform.signer.verifier_key


def decide(platform: Platform, order_id: str, **fields: Any) -> str:  # noqa: ANN401 - any field
    order = examples.order(order_id=order_id, country="CN", name="Wang Xiaoming", **fields)
    return decide_order(platform, "listed", order)


def decide_order(platform: Platform, kind: str, order: bytes) -> str:
    answer = decide_any(platform, Ask(kind, "test", "test", "en"), Line(order, None))
    return str(answer["decision_id"])


def override(platform: Platform, decision_id: str) -> None:
    override_decision(
        platform,
        decision_id=decision_id,
        actor="test",
        outcome="accept",
        reason_code="KNOWN",
        comment="known",
        idempotency=None,
    )


def export(settings: Settings, out: Path, request: EvidenceRequest = PERIOD) -> dict[str, Any]:
    with open_platform(settings) as platform:
        return dict(export_evidence(platform, request, out, actor="test"))


class Altered:
    """A bundle's files, to be altered and packed again.

    Parameters
    ----------
    path
        The bundle.
    """

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as packed:
            self.files = {name: packed.read(name) for name in packed.namelist()}

    def edit(self, name: str, old: bytes, new: bytes) -> None:
        assert old in self.files[name], name
        self.files[name] = self.files[name].replace(old, new, 1)

    def lines(self, name: str, change: Callable[[list[bytes]], object]) -> None:
        lines = self.files[name].splitlines(keepends=True)
        change(lines)
        self.files[name] = b"".join(lines)

    def objects(self, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
        values = [orjson.loads(line) for line in self.files[name].splitlines()]
        change(values)
        self.files[name] = b"".join(orjson.dumps(value) + b"\n" for value in values)

    def manifest(self, change: Callable[[dict[str, Any]], object]) -> None:
        said = orjson.loads(self.files["manifest.json"])
        change(said)
        self.files["manifest.json"] = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    def first(self, prefix: str, suffix: str = "") -> str:
        return next(n for n in self.files if n.startswith(prefix) and n.endswith(suffix))

    def sign_again(self, signer: LogSigner) -> None:
        """Do what an insider with the log's own key could do: make digests and signature fit."""
        described = {
            name: {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in self.files.items()
            if not name.startswith("manifest.")
        }
        self.manifest(lambda said: said.update(files=described))
        digest = sha256(self.files["manifest.json"]).hexdigest()
        note = signer.sign_statement(STATEMENT, [f"sha256 {digest}"])
        self.files["manifest.note"] = note.encode()

    def pack(self, out: Path) -> Path:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in self.files.items():
                packed.writestr(name, content)
        return out


def log_signer(settings: Settings) -> LogSigner:
    with open_platform(settings) as platform:
        return platform.signer


def other_signer(origin: str) -> LogSigner:
    return LogSigner(origin, Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))


def failed_steps(path: Path, *keys: str) -> set[str]:
    verdicts = verify_bundle(path, list(keys)).verdicts
    return {name for name, verdict in verdicts.items() if verdict.faults}


def run_alone(folder: Path, *arguments: str, script: bytes | None = None) -> tuple[int, str]:
    """Run `verify.py` as an auditor does: in a folder of its own, without any package."""
    path = folder / "verify.py"
    if script is not None or not path.exists():
        path.write_bytes(script or assemble_verifier())
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(path), *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
