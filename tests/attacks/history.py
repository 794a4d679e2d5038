"""A platform in which everything that a log can record was recorded, and copies of it to attack.

What is archived and purged has a history of its own, of long ago, in `test_archived.py`.
"""

import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pysqlite3

from audit.checkpoint import parse_checkpoint
from audit.cosignature import add_cosignatures, parse_witness_key
from audit.verify import Report
from models.chain import chain_examples
from models.kind import built_in_kind
from models.policy_document import Policy
from models.split.policy import built_in_split_policy
from reports.evidence import EvidenceRequest
from service.auth import Role
from service.reference_versions import Origin
from service.settings import Settings
from service.usecases.amend import override_decision, report_outcome
from service.usecases.chain import ChainAsk, decide_chain
from service.usecases.check_store import verify_everything
from service.usecases.erase import erase_subject, hold_subject
from service.usecases.export import export_evidence
from service.usecases.keys import create_key, revoke_key
from service.usecases.lines import Ask, Line
from service.usecases.log_keys import rotate_key
from service.usecases.references import load_version
from service.usecases.split import decide_any
from service.wiring import Platform, open_platform
from tests.audit.witness import Witness
from tests.conftest import publish_small_model
from tests.databases import SQLITE, SampleDatabase
from tests.journeys.small_models import publish_built_in
from tests.models import examples
from tests.service import listed
from tests.splits import publish_split

WITNESS = Witness("witness.example/w1", 5)
Row = dict[str, Any]
# The folders of a platform that a verification reads.
_FOLDERS = ("keys", "checkpoints")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a platform that may be attacked.

    Parameters
    ----------
    settings, database
        Of the copy.
    vkey
        The log's verifier key, as the verifier knows it from elsewhere.
    """

    settings: Settings
    database: SampleDatabase
    vkey: str

    def verify(self) -> Report:
        """Do what `candor verify --key VKEY` does."""
        return verify_everything(self.settings, self.vkey)

    def codes(self) -> set[str]:
        """Return the codes of all that a verification finds."""
        return {problem.code for problem in self.verify().problems}

    def execute(self, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
        """Run statements as a superuser who switches the guards off, and on again behind them."""
        connection = self.database.connect()
        guards = unguard(connection, self.database)
        for one in statements:
            sql, values = one if isinstance(one, tuple) else (one, ())
            if self.database.server is not None:
                sql = sql.replace("?", "%s")
            connection.execute(sql, values)
        for statement in guards:
            connection.execute(statement)
        connection.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        connection = self.database.connect()
        found = [tuple(row) for row in connection.execute(query).fetchall()]
        connection.close()
        return found


def unguard(connection: Any, database: SampleDatabase) -> list[str]:  # noqa: ANN401 - a DBAPI connection has no type
    """Switch every guard off, and return the statements that switch them on again."""
    if database.server is None:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = connection.execute(query).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        return [sql for _, sql in triggers]
    tables = (
        "SELECT format('ALTER TABLE %I {} TRIGGER ALL', tablename) "
        "FROM pg_tables WHERE schemaname = 'public'"
    )
    always = (
        "SELECT format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', tgrelid::regclass, tgname) "
        "FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0"
    )
    for (statement,) in connection.execute(tables.format("DISABLE")).fetchall():
        connection.execute(statement)
    back = [row[0] for row in connection.execute(tables.format("ENABLE")).fetchall()]
    return back + [row[0] for row in connection.execute(always).fetchall()]


@dataclass(slots=True)
class Scene:
    """A platform with a history, closed.

    Parameters
    ----------
    settings, database
        Where it is.
    vkey
        The log's present verifier key.
    first_vkey
        The key before the rotation.
    receipts
        Decision id to receipt and header, as answered.
    decisions
        Name to decision id.
    bundle
        An evidence bundle of it all, with opened personal parts.
    backup
        The platform before its last entries.
    """

    settings: Settings
    database: SampleDatabase
    vkey: str = ""
    first_vkey: str = ""
    receipts: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    decisions: dict[str, str] = field(default_factory=dict)
    bundle: Path = Path()
    backup: Copy | None = None

    def copy(self, folder: Path, *, file: bytes | None = None) -> Copy:
        """Return a copy in a new folder; `file` is the database's, if it was read before."""
        var = folder / "var"
        var.mkdir(parents=True)
        for name in _FOLDERS:
            shutil.copytree(self.settings.var / name, var / name)
        server = self.database.server
        database = SampleDatabase(var, server, self.database.name, file="candor.db")
        changes: dict[str, Any] = {"var": var}
        if server is None:
            content = self.database.path.read_bytes() if file is None else file
            database.path.write_bytes(content)
        else:
            changes["database_url"] = database.url
        return Copy(self.settings.model_copy(update=changes), database, self.vkey)


def make_history(settings: Settings, database: SampleDatabase, folder: Path) -> Scene:
    """Record something of every form, in the order in which it would happen.

    Parameters
    ----------
    settings
        Of a new platform; names the witness.
    database
        The one that the settings name.
    folder
        For the bundle and the backup.
    """
    scene = Scene(settings, database)
    with open_platform(settings) as platform:
        scene.first_vkey = platform.signer.verifier_key
        _publish(platform)
        _decide(platform, scene)
        _amend(platform, scene)
        erase_subject(platform, "C-2", kind="subject", actor="test", reason="DSR-1")
        hold_subject(platform, "C-3", kind="subject", actor="test", reason="court", is_held=True)
        rotate_key(platform, "test")
        _decide_parcel(platform, scene, "P-6", "C-1", key=None)
        _cosign(platform)
        scene.bundle = folder / "bundle.zip"
        request = EvidenceRequest(reason="court order", order_ids=("P-1", "P-4"))
        export_evidence(platform, request, scene.bundle, actor="test")
        platform.store.fold()
    scene.vkey = _vkey(settings)
    scene.backup = scene.copy(folder / "backup")
    with open_platform(settings) as platform:
        for number in range(7, 10):
            _decide_parcel(platform, scene, f"P-{number}", f"C-{number}", key=f"key-{number}")
        platform.store.fold()
    return scene


def _vkey(settings: Settings) -> str:
    with open_platform(settings) as platform:
        return platform.signer.verifier_key


def _publish(platform: Platform) -> None:
    for kind in ("admission", "risk"):
        publish_built_in(platform, kind, _accept)
    # The small model is no judge of lateness, so its plans are not held up for it.
    publish_split(platform, built_in_split_policy().model_copy(update={"review_late_at": 1.0}))
    publish_small_model(platform)
    create_key(platform, "shop", Role.OMS, "test")
    key, _ = create_key(platform, "left", Role.ADMIN, "test")
    revoke_key(platform, key.id, "test")
    table = listed.table("XX", staleness_days=9_999)
    load_version(platform, table, actor="test", origin=Origin.FILE)


def _accept(policy: Policy) -> Policy:
    # Orders go ahead, so that chains reach the split and caps are used up.
    return policy.model_copy(update={"decision": None, "review_at": 1.0, "adverse_at": 1.0})


def _decide(platform: Platform, scene: Scene) -> None:
    ask = ChainAsk("oms", "POST /v1/orders/decide", "en")
    for number, one in enumerate(chain_examples()):
        example: Any = one
        order = deepcopy(example["order"])
        order["customer"]["tier"] = "vip"
        order["service"] = {"priority": True}
        answer: Any = decide_chain(platform, ask, Line(orjson.dumps(order), f"chain-{number}"))
        for said in answer["decisions"]:
            _keep(scene, f"chain-{number}-{said['kind']}", said)
    for kind in ("admission", "risk"):
        order = built_in_kind(kind).examples[0].order.encode()
        _keep(scene, kind, decide_any(platform, Ask(kind, "oms", "POST", "en"), Line(order, None)))
    for number, customer in enumerate(["C-1", "C-2", "C-1", None, "C-3", "C-2"]):
        _decide_parcel(platform, scene, f"P-{number}", customer, key=f"key-{number}")


def _decide_parcel(
    platform: Platform, scene: Scene, order_id: str, customer_id: str | None, key: str | None
) -> None:
    customer = {"customer_id": customer_id, "recent_orders": [{"ordered": 10, "returned": 1}]}
    order = examples.order(order_id=order_id, stock=float(len(scene.receipts)), customer=customer)
    ask = Ask("parcel", "oms", "POST /v1/decisions/parcel", "en")
    _keep(scene, order_id, decide_any(platform, ask, Line(order, key)))


def _keep(scene: Scene, name: str, answer: Any) -> None:  # noqa: ANN401 - a decision as answered
    receipt = answer["receipt"]
    scene.decisions[name] = answer["decision_id"]
    scene.receipts[answer["decision_id"]] = (receipt["proof"], b64decode(receipt["leaf"]))


def _amend(platform: Platform, scene: Scene) -> None:
    for name in ("P-0", "P-1"):
        override_decision(
            platform,
            decision_id=scene.decisions[name],
            actor="test",
            outcome="accept",
            reason_code="KNOWN",
            comment="long known",
            idempotency=None,
        )
    report_outcome(
        platform,
        decision_id=scene.decisions["admission"],
        actor="test",
        label="adverse",
        observed_at=datetime(2026, 2, 1, tzinfo=UTC),
        details={"note": "returned"},
        idempotency=None,
    )


def _cosign(platform: Platform) -> None:
    with platform.store.reading() as reading:
        note = reading.head() or ""
    assert parse_checkpoint(note).tree_size
    add_cosignatures(platform.store, note + WITNESS.line(note), [parse_witness_key(WITNESS.vkey)])


def opened_scene(folder: Path, kind: str, server: Callable[[], Any]) -> Iterator[Scene]:
    """Yield a history on one kind of database."""
    var = folder / "var"
    var.mkdir()
    database = SampleDatabase(var, None if kind == SQLITE else server(), file="candor.db")
    settings = Settings(
        var=var, model_refresh_seconds=0, log_level="error", witnesses=(WITNESS.vkey,)
    )
    if kind != SQLITE:
        settings = settings.model_copy(update={"database_url": database.url})
    yield make_history(settings, database, folder)
    database.close()


def edit_key_store(var: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Run statements on the store of the subjects' keys."""
    connection = pysqlite3.connect(var / "keys" / "subjects.db", isolation_level=None)
    for sql, values in statements:
        connection.execute(sql, values)
    connection.close()
