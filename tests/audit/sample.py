"""Decisions, keys and entries that the tests of this package share."""

import hmac
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck

from audit.canonical import canonical_json
from audit.checkpoint import LogSigner
from audit.identifiers import format_identifiers
from audit.kept import KeptCheckpoint
from audit.log import Appended, append
from audit.records import Entry, EntryType, Idempotency, Identity, build_decision_entry
from audit.rotation import Keyring, build_rotation_entry
from audit.seal import SealedPart, Sealer, SubjectKey
from audit.store import Record, Store, open_store
from audit.witnessed import Notary
from models.decision import Decision
from models.domain import (
    Attributions,
    CapStanding,
    Disagreement,
    Effect,
    ModelRef,
    PolicyRef,
    Promised,
    Reason,
    RuleHit,
    Runtime,
    Side,
    Snapshot,
    Text,
    Verdict,
    Voice,
)
from models.surroundings import (
    CapCount,
    ErrorRates,
    ReferenceRef,
    StaleReference,
    Surroundings,
)

# How long a case takes is no property of the code: other work may share the machine.
UNHURRIED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
}
START = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
SIGNER = LogSigner("candor.example/log", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
OTHER_SIGNER = LogSigner("candor.example/log", Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))
VKEY = SIGNER.verifier_key


class DerivedKeys:
    """Keys that several processes of a test have without sharing a store: nothing is kept."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def prepare(self, owners: Iterable[bytes]) -> None:
        """Do nothing: every key is there."""

    def key_of(self, owner: bytes) -> SubjectKey:
        return self.find(hmac.digest(self._secret, owner, "sha256")[:16])

    def find(self, key_id: bytes) -> SubjectKey:
        return SubjectKey(key_id, hmac.digest(self._secret, key_id, "sha256"))

    def owns(self, owner: bytes, key_id: bytes) -> bool:
        return self.key_of(owner).key_id == key_id

    def generation(self) -> int:
        return 0


SEALER = Sealer(DerivedKeys(b"\x01" * 32), b"\x02" * 32)
OWNER = b"\x03" * 32


def seal_entry(entry: Entry, personal: bytes | None = None) -> SealedPart:
    """Return an entry's sealed part as the log makes it, or one with other contents."""
    return SEALER.seal(
        entry.entry_id,
        entry.identifiers.owner(entry.entry_id).hashed(SEALER),
        entry.personal or b"" if personal is None else personal,
        format_identifiers(entry.identifiers),
    )


def make_verdict(**changes: Any) -> Verdict:  # noqa: ANN401 - any field of a verdict
    values = {"presale_lead_days": 1.25, "destination": -0.5, "return_rate": 0.1}
    reason = Reason(
        rank=1,
        code="LONG_PRESALE",
        group="presale",
        side=Side.ADVERSE,
        toward="reject",
        share=0.925925925925926,
        contribution=1.25,
        features=("presale_lead_days",),
        facts={"presale_lead_days": 45, "effective_on": "2026-01-15", "urgent": True},
        text=Text("预售期45天", "45 days of presale"),
    )
    fields: dict[str, Any] = {
        "outcome": "reject",
        "automated": True,
        "raw_probability": 0.679178699175393,
        "probability": 0.7,
        "interval": (0.65, 0.75),
        "confidence": 0.7,
        "outcome_set": ("reject",),
        "attributions": Attributions(-0.1, 0.75, "logit", values),
        "reasons": (reason,),
        "counter_reasons": (),
        "rules": (RuleHit("r-1", "2", Effect.NONE, {"limit": 3.5}, Text("规则", "rule")),),
        "summary": Text("拒绝", "Rejected"),
        "thresholds": (0.3, 0.6),
        "promise": Promised(0.05, 0.1, 0.04, 0.1),
        "conflict": Disagreement((Voice("model", "reject", "thresholds"),), "rule", "floor"),
        "caps": (CapStanding("vip-full", "2026-01-15", "vip", 3, 5),),
    }
    return Verdict(**(fields | changes))


def make_surroundings() -> Surroundings:
    as_of = datetime(2026, 1, 1, tzinfo=UTC)
    table = ReferenceRef("customs_notices", "sha256:ef", as_of)
    return Surroundings(
        placed_at=datetime(2026, 1, 15, 8, tzinfo=UTC),
        counts=(CapCount("vip-full", "2026-01-15", "vip", 3),),
        stale=(StaleReference(table, Text("海关公告", "customs notices"), 14.3, 7.0),),
        references=(table,),
        error_rates=ErrorRates(0.04, 0.1),
    )


def make_decision(**changes: Any) -> Decision:  # noqa: ANN401 - any field of a decision
    snapshot = Snapshot(
        {"presale_lead_days": 45.0, "destination": "US", "return_rate": None},
        {"effective_on": "2026-01-15", "pieces": 11},
    )
    fields: dict[str, Any] = {
        "kind": "admission",
        "snapshot": snapshot,
        "verdict": make_verdict(),
        "model": ModelRef("admission", "3", "sha256:ab", "run-1"),
        "policy": PolicyRef("admission", "1", "sha256:cd"),
        "runtime": Runtime(
            candor="0.1.0",
            cpu="SSE SSE2",
            explainer="pred_contrib",
            feature_code="f-1",
            libc="glibc 2.36",
            lightgbm="4.7.0",
            machine="x86_64",
            numpy="2.3.5",
            python="3.11.7",
            rapidfuzz="3.9",
            scipy="1.16",
            zen_engine="0.9",
        ),
        "surroundings": make_surroundings(),
        "unknown_fields": ("/gift_note",),
        "timings_ms": {"score": 0.25},
    }
    return Decision(**(fields | changes))


def make_order(number: int) -> bytes:
    return orjson.dumps({"order_id": f"o-{number}", "buyer": "王小明", "presale_lead_days": 45})


def make_decision_entry(
    number: int, *, key: str | None = None, order: bytes | None = None
) -> Entry:
    body = make_order(number) if order is None else order
    used = None if key is None else Idempotency("oms", "/v1/decisions", key, sha256(body).digest())
    identity = Identity(
        decision_id=f"d-{number}",
        decided_at=START + timedelta(seconds=number),
        order_id=f"o-{number}",
        subject_id=f"s-{number % 5}" if number % 3 else None,
        chain_id=f"c-{number // 2}",
        parent_id=f"d-{number - 1}" if number % 2 else None,
        caller="oms",
    )
    return build_decision_entry(make_decision(), identity, body, used)


def make_override_entry(number: int, about: str) -> Entry:
    return Entry(
        entry_id=f"v-{number}",
        entry_type=EntryType.OVERRIDE,
        recorded_at=START + timedelta(hours=number),
        header={"kind": "admission"},
        facts={"version": 1, "outcome": "accept", "reason_code": "KNOWN_CUSTOMER"},
        personal=b'{"comment": "long-standing customer"}',
        about=about,
    )


def make_publication_entry(number: int) -> Entry:
    return Entry(
        entry_id=f"p-{number}",
        entry_type=EntryType.PUBLICATION,
        recorded_at=START + timedelta(days=number),
        header={"kind": "admission", "bootstrap": True},
    )


def open_sample_store(folder: Path, **settings: Any) -> Store:  # noqa: ANN401 - settings of open_store
    return open_store(f"sqlite:///{folder / 'log.db'}", **settings)


def make_signer(origin: str, seed: int) -> LogSigner:
    return LogSigner(origin, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


class Log:
    """A log with its keys, its kept checkpoint and ways to lose it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signers = {SIGNER.verifier_key: SIGNER}
        self.kept_path = folder / "outside" / "latest"
        self.reopen()

    def reopen(self) -> None:
        self.store = open_sample_store(self.folder)
        keyring = Keyring(SIGNER, self.signers.__getitem__)
        self.notary = Notary(keyring, KeptCheckpoint(self.kept_path))

    def add(self, *numbers: int) -> list[Appended]:
        return self.append([make_decision_entry(number) for number in numbers])

    def append(self, entries: list[Entry]) -> list[Appended]:
        done = append(self.store, entries, self.notary, SEALER)
        return [one for one in done if isinstance(one, Appended)]

    def rotate(self, number: int, signer: LogSigner) -> Appended:
        self.signers[signer.verifier_key] = signer
        with self.store.reading() as reading:
            old = self.notary.keyring.present_key(reading)
        entry = build_rotation_entry(f"r-{number}", START, old, signer.verifier_key, {"actor": "x"})
        return self.append([entry])[0]

    def copy_database(self) -> bytes:
        self.store.close()
        path = self.folder / "log.db"
        content = path.read_bytes()
        assert not path.with_name("log.db-wal").exists()
        self.reopen()
        return content

    def put_database(self, content: bytes) -> None:
        self.store.close()
        (self.folder / "log.db").write_bytes(content)
        self.reopen()


def logged(record: Record) -> Record:
    """Return a record with the header that its facts part would have been logged under."""
    header = orjson.loads(record.leaf)
    header["facts_sha256"] = sha256(record.facts or b"").hexdigest()
    return replace(record, leaf=canonical_json(header))
