"""Publishing a kind that a node serves, and deciding with look-ups and counters."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from audit.verify import verify_store
from models.errors import BundleCorruptError, KindFileError
from models.kind import Kind, parse_kind
from service.cli.application import application
from service.errors import OutsideRefusedError
from service.settings import Settings
from service.usecases.lines import Ask, Line
from service.usecases.publish_outside import check_node, publish_outside, read_outside_kind
from service.usecases.records import find_decision
from service.usecases.replay import replay_record
from service.usecases.split import decide_any, decide_any_lines
from service.usecases.train import train
from service.wiring import Platform
from tests.models.examples import small_kind
from tests.oip_server import OipServer, running_node
from tests.outside import NAME, kind_text, outside_document, outside_kind, outside_order
from training.pipeline import source_of_simulation
from training.simulator import simulate

ASK = Ask(NAME, "oms", "test", "en")
Run = Callable[..., Result]


@pytest.fixture
def node() -> Iterator[OipServer]:
    with running_node() as running:
        yield running


@pytest.fixture
def run(settings: Settings) -> Run:
    def call(*arguments: str) -> Result:
        return CliRunner().invoke(application, [*arguments, "--var", str(settings.var)])

    return call


def kind_file(folder: Path, url: str = "http://127.0.0.1:8080", version: str = "1") -> str:
    text = kind_text().replace("http://127.0.0.1:8080", url)
    path = folder / "kind.toml"
    path.write_text(text.replace('\nversion = "1"\ntitle', f'\nversion = "{version}"\ntitle'))
    return str(path)


def no_progress(_step: str, _part: float) -> None:
    """Tell nobody."""


def publish(platform: Platform, kind: Kind, *, replaces: bool = False) -> dict[str, Any]:
    published = publish_outside(platform, kind, actor="test", is_replacing=replaces)
    return published.describe()


def test_a_publication_is_an_entry_of_the_log(platform: Platform) -> None:
    """The first is the bootstrap; the same again records nothing; another needs to be told to."""
    first = publish(platform, outside_kind())
    assert (first["bootstrap"], first["recorded"]) == (True, True)
    live = platform.live.publications()[NAME]
    assert first["model"] == {
        "name": "fragile-parcel",
        "version": "3",
        "bundle": live.model.bundle,
    }
    again = publish(platform, outside_kind())
    assert (again["recorded"], again["leaf_index"]) == (False, None)
    other = outside_kind(timeout_ms=7)
    with pytest.raises(OutsideRefusedError, match="another version"):
        publish(platform, other)
    replaced = publish(platform, other, replaces=True)
    assert (replaced["bootstrap"], replaced["recorded"]) == (False, True)
    assert platform.live.get_outside(NAME).node.timeout_ms == 7
    # What decided before stays readable by its digest.
    assert platform.shelf.load_kind(live.model, live.policy) == outside_kind()


def test_only_a_kind_of_its_own_is_served(platform: Platform) -> None:
    for name in ("admission", "risk", "split"):
        document = {**outside_document(), "name": name}
        with pytest.raises(OutsideRefusedError, match="ships with Candor"):
            publish(platform, parse_kind(document), replaces=True)
    document = {**outside_document(), "name": "parcel"}
    with pytest.raises(OutsideRefusedError, match="a trained model"):
        publish(platform, parse_kind(document), replaces=True)


def test_a_damaged_kind_decides_nothing(platform: Platform) -> None:
    digest = publish(platform, outside_kind())["model"]["bundle"]
    [stored] = platform.settings.kinds.glob(f"{digest.replace(':', '-')}*")
    stored.write_bytes(stored.read_bytes().replace(b"8080", b"8081"))
    platform.shelf._outside.clear()
    with pytest.raises(BundleCorruptError):
        decide_any(platform, ASK, Line(outside_order()))


def test_the_shelf_keeps_what_is_in_use(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.live._KEPT_MODELS", 1)
    publish(platform, outside_kind())
    first = platform.live.get_outside(NAME)
    assert platform.live.get_outside(NAME) is first
    publish(platform, outside_kind(timeout_ms=7), replaces=True)
    assert platform.live.get_outside(NAME) is not first
    assert len(platform.shelf._outside) == 1


def test_a_kind_with_a_node_is_not_trained(platform: Platform) -> None:
    source = source_of_simulation(simulate("risk", 100, 1), 1)
    with pytest.raises(KindFileError, match="candor outside publish"):
        train(platform, outside_kind(), source, seed=1, actor="t", on_progress=no_progress)


def test_counters_move_while_a_node_answers(platform: Platform, node: OipServer) -> None:
    """Two of twelve orders take the cap; deciding again under other counts asks nobody again."""
    document = outside_document(node.url)
    document["policy"] |= {"review_at": 0.99, "adverse_at": 0.999}
    document["policy"]["caps"] = [
        {
            "id": "glass-full",
            "when": ["material == 'glass'"],
            "effect": "reject",
            "limit": 2,
            "zh": "已满",
            "en": "{cap_used} of {cap_limit}",
        }
    ]
    publish(platform, parse_kind(document))
    lines = [Line(outside_order(order_id=f"F-{number}")) for number in range(12)]
    answers = decide_any_lines(platform, ASK, lines)
    decided = [answer for answer in answers if isinstance(answer, dict)]
    assert [one["outcome"] for one in decided] == ["accept"] * 2 + ["reject"] * 10
    assert len(node.requests) == 12
    assert decided[2]["caps"] == [
        {"cap": "glass-full", "day": "2026-02-01", "tier": "", "used": 2, "limit": 2}
    ]
    for one in decided:
        record = find_decision(platform, str(one["decision_id"]))
        assert replay_record(platform, record).match
    keys = [platform.signer.verifier_key]
    assert verify_store(platform.store, keys, platform.sealer).problems == ()


def test_tables_speak_beside_a_node(platform: Platform, node: OipServer) -> None:
    """A sanctioned destination is refused whatever the node says, and the record pins the list."""
    document = outside_document(node.url)
    document["lookups"] = [
        {
            "name": "destination_sanctions",
            "table": "sanctioned_destinations",
            "inputs": ["destination.country"],
            "keys": ["country"],
        }
    ]
    document["policy"]["rules"].append(
        {
            "id": "destination-sanctioned",
            "when": ["destination_sanctions_matched == true"],
            "effect": "reject",
            "zh": "受制裁",
            "en": "sanctioned",
        }
    )
    publish(platform, parse_kind(document))
    answer = decide_any(platform, ASK, Line(outside_order("ZZ", drop_height_cm=0.0)))
    assert answer["outcome"] == "reject"
    assert answer["probability"] is not None
    asked: Any = answer["references"]
    assert [one["name"] for one in asked] == ["sanctioned_destinations"]
    record = find_decision(platform, str(answer["decision_id"]))
    assert replay_record(platform, record).match


def test_a_malformed_line_or_key_hinders_no_other(platform: Platform, node: OipServer) -> None:
    publish(platform, outside_kind(node.url))
    lines = [Line(b"{"), Line(outside_order(), "a b"), Line(outside_order(), "k")]
    answers = decide_any_lines(platform, ASK, lines)
    codes = [getattr(answer, "code", None) for answer in answers]
    assert codes == ["malformed-json", "request-invalid", None]
    other = decide_any_lines(platform, ASK, [Line(outside_order("US"), "k")])
    assert getattr(other[0], "code", None) == "idempotency-conflict"
    assert len(node.requests) == 1


def test_a_line_that_cannot_be_put_in_words_hinders_no_other(
    platform: Platform, node: OipServer
) -> None:
    """A rule's sentence with a format that does not exist is an error of its own order alone."""
    document = outside_document(node.url)
    document["policy"]["rules"][0] |= {"zh": "{drop_height_cm:words}", "en": "{drop_height_cm}"}
    publish(platform, parse_kind(document))
    lines = [Line(outside_order("AQ")), Line(outside_order())]
    codes = [getattr(answer, "code", None) for answer in decide_any_lines(platform, ASK, lines)]
    assert codes == ["kind-file-invalid", None]


def test_the_command_checks_and_publishes(run: Run, node: OipServer, tmp_path: Path) -> None:
    file = kind_file(tmp_path, node.url)
    checked = run("outside", "check", file)
    assert (checked.exit_code, "ready and fits" in checked.stdout) == (0, True)
    assert node.paths == [
        "/v2/models/fragile-parcel/versions/3/ready",
        "/v2/models/fragile-parcel/versions/3",
    ]
    published = run("outside", "publish", file)
    assert (published.exit_code, "live from entry" in published.stdout) == (0, True)
    assert "live already" in run("outside", "publish", file).stdout
    other = kind_file(tmp_path, node.url, version="2")
    refused = run("outside", "publish", other)
    assert (refused.exit_code, "outside-refused" in refused.stderr) == (1, True)
    replaced = orjson.loads(run("outside", "publish", other, "--replace", "--json").stdout)
    assert (replaced["kind"], replaced["recorded"]) == (NAME, True)
    order = tmp_path / "order.json"
    order.write_bytes(outside_order())
    decided = run("decide", str(order), "--kind", NAME, "--json")
    assert orjson.loads(decided.stdout)["explained_by"] == "node"
    assert run("verify").exit_code == 0
    replayed = orjson.loads(run("replay", "--json").stdout)
    assert (replayed["replayed"], replayed["identical"]) == (1, 1)


def test_a_kind_without_a_node_is_not_for_this_command(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "kind.toml"
    text = kind_text()
    start, end = text.index("[node]"), text.index("[outcomes.favourable]")
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    for command in ("check", "publish"):
        refused = run("outside", command, str(path))
        assert (refused.exit_code, "has no [node]" in refused.stderr) == (1, True)
    with pytest.raises(KindFileError):
        read_outside_kind(path)


def test_a_node_that_does_not_fit_is_told_where(
    run: Run, platform: Platform, node: OipServer, tmp_path: Path
) -> None:
    """Names and types of what it takes and gives; metadata without them are taken as they are."""
    kind = outside_kind(node.url)
    assert check_node(platform, kind) == []
    node.metadata = {
        "name": "other",
        "inputs": [
            {"name": "drop_height_cm", "datatype": "INT64"},
            {"name": "double_walled", "datatype": "BOOL"},
            {"name": "weight", "datatype": "FP64"},
        ],
        "outputs": [{"name": "damage_probability"}, {"name": "contributions"}],
    }
    assert check_node(platform, kind) == [
        "the node calls the model 'other'",
        "it takes no input material",
        "it wants an input weight",
        "the input drop_height_cm is INT64 there and FP64 here",
        "it gives no output expected_value",
    ]
    failed = run("outside", "check", kind_file(tmp_path, node.url), "--json")
    assert (failed.exit_code, len(orjson.loads(failed.stdout)["problems"])) == (1, 5)
    told = run("outside", "check", kind_file(tmp_path, node.url)).stdout
    assert "does not fit" in told
    node.metadata = {"name": "fragile-parcel"}
    assert check_node(platform, kind) == []
    node.metadata = b"<html>"
    assert "not JSON" in check_node(platform, kind)[0]
    node.metadata = b" " * 1_000_000
    assert "larger than" in check_node(platform, kind)[0]
    node.is_ready = False
    assert "http-status: it answered 503" in check_node(platform, kind)[0]
    with pytest.raises(KindFileError):
        check_node(platform, small_kind())
