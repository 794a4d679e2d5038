"""The model card: its data, its page, its pictures."""

from pathlib import Path

import orjson
import pytest

from tests.training.conftest import NOW, Trained
from training.card import _as_json, draw_reliability, render_card
from training.evaluate import Evaluation
from training.registry import artifacts_folder

_PNG = b"\x89PNG\r\n\x1a\n"


def _stored(shipment_run: Trained, name: str) -> bytes:
    run_id = shipment_run.result.run_id
    folder: Path = artifacts_folder(shipment_run.var) / "shipment" / run_id / "artifacts"
    return (folder / name).read_bytes()


def test_card_tells_what_a_reader_must_know(shipment_run: Trained) -> None:
    card = orjson.loads(_stored(shipment_run, "card.json"))
    assert card == shipment_run.result.card
    assert card["bundle"] == shipment_run.result.bundle.digest
    assert card["trained_at"] == NOW.isoformat()
    assert [part["rows"] for part in card["data"]["parts"]] == [1840, 360, 1000, 800]
    assert card["data"]["parts"][3]["placed_to"] == "2025-06-16"
    assert card["data"]["excluded"] == [{"column": "Delivered", "why": "known only afterwards"}]
    assert len(card["calibration"]) == 10
    assert {gate["name"]: gate["passed"] for gate in card["gates"]}["second-opinion"] is True
    assert card["features"][0]["name"] in {"lead_days", "stock", "carrier"}
    assert card["metrics"]["auc"]["low"] < card["metrics"]["auc"]["value"]
    assert card["explanation_truth"]["orders"] > 0


def test_card_names_the_interaction_of_the_mechanism(shipment_run: Trained) -> None:
    """The lead time matters with one carrier only: that pair is the strongest."""
    card = orjson.loads(_stored(shipment_run, "card.json"))
    strongest = card["interactions"][0]
    assert {strongest["first"], strongest["second"]} == {"lead_days", "carrier"}


def test_page_needs_no_other_file_and_speaks_both_languages(shipment_run: Trained) -> None:
    page = _stored(shipment_run, "card.html").decode()
    assert "模型卡" in page
    assert "Model card" in page
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page.split("<body>")[1].split("base64,")[0]
    assert shipment_run.result.bundle.digest in page


def test_page_escapes_what_the_data_says(shipment_run: Trained) -> None:
    card = dict(shipment_run.result.card)
    data = card["data"]
    assert isinstance(data, dict)
    card["data"] = {**data, "source": "<script>alert(1)</script>"}
    page = render_card(card, {"beeswarm": b"", "reliability": b""})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_failed_gate_and_a_decile_outside_are_shown(shipment_run: Trained) -> None:
    card = dict(shipment_run.result.card)
    gates, deciles = card["gates"], card["calibration"]
    assert isinstance(gates, list)
    assert isinstance(deciles, list)
    gate, decile = gates[0], deciles[0]
    assert isinstance(gate, dict)
    assert isinstance(decile, dict)
    card |= {"gates": [{**gate, "passed": False}], "calibration": [{**decile, "inside": False}]}
    page = render_card(card, {"beeswarm": b"", "reliability": b""})
    assert "未通过 · failed" in page
    assert "区间外 · outside" in page


def test_pictures_are_png(shipment_run: Trained) -> None:
    evaluation: Evaluation = shipment_run.result.evaluation
    assert draw_reliability(evaluation).startswith(_PNG)
    assert _stored(shipment_run, "plots/beeswarm.png").startswith(_PNG)


def test_only_json_data_goes_on_the_card() -> None:
    with pytest.raises(TypeError, match="not JSON data: object"):
        _as_json(object())
