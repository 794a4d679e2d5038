"""A split on the command line: decided, verified and replayed in one store."""

from pathlib import Path

import orjson
from typer.testing import CliRunner

from service.cli.application import application
from service.settings import Settings
from service.wiring import open_platform
from tests.models.split.examples import example_order
from tests.splits import EXAMPLES, publish_split


def test_splits_are_decided_verified_and_replayed(settings: Settings, tmp_path: Path) -> None:
    """`candor decide`, `verify` and `replay --sample` take splits as they take every kind."""
    with open_platform(settings) as platform:
        publish_split(platform)
    at = ["--var", str(settings.var)]
    run = CliRunner()
    for name in EXAMPLES:
        order = tmp_path / f"{name}.json"
        order.write_bytes(example_order(name))
        decided = run.invoke(application, ["decide", str(order), "--kind", "split", "--json", *at])
        assert decided.exit_code == 0, decided.stderr
        assert orjson.loads(decided.stdout)["kind"] == "split"
    shown = run.invoke(application, ["decide", str(order), "--kind", "split", "--lang", "en", *at])
    assert "cannot be served under" in shown.stdout
    order.write_bytes(example_order("just-in-time"))
    shown = run.invoke(application, ["decide", str(order), "--kind", "split", "--lang", "en", *at])
    assert "24 x AXLE-7 from WH-NEAR by van-exact" in shown.stdout
    verified = run.invoke(application, ["verify", "--json", *at])
    assert (verified.exit_code, orjson.loads(verified.stdout)["problems"]) == (0, [])
    replayed = run.invoke(application, ["replay", "--sample", "10", "--json", *at])
    assert orjson.loads(replayed.stdout) == {"replayed": 5, "identical": 5, "differences": []}
