"""What README shows is run as it stands, and the answer shown is the answer that comes."""

import os
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from itertools import zip_longest
from pathlib import Path

import orjson

from models.domain import Json
from tests.journeys.service_process import HOST, ROOT, candor, serving

README = (ROOT / "README.md").read_text(encoding="utf-8")
_ANY = "…"


def test_readme_shows_what_happens(demo_var: Path) -> None:
    """README's first request, run by a shell, gets the answer that README shows."""
    command, shown = _block("sh", "curl"), orjson.loads(_block("json", "decision_id"))
    with serving(demo_var) as service:
        settings = {"CANDOR_URL": f"http://{HOST}:{service.port}", "CANDOR_VAR": str(demo_var)}
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, **settings},
            capture_output=True,
            check=True,
            timeout=60,
        )
        vkey = service.call("GET", "/v1/log/key")[1].decode().strip()
    answered = orjson.loads(done.stdout)
    assert _differences(shown, answered, "") == []
    assert answered["summary"] in README
    in_english = _decide_in_english(command, demo_var)
    assert in_english in README.replace("\n", " ")
    assert _check(demo_var.parent, done.stdout, vkey).startswith(b"proved: index ")
    printed = (demo_var / "demo.txt").read_text(encoding="utf-8")
    assert answered["summary"] in printed
    assert in_english in printed


def test_readme_names_only_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def _block(language: str, holding: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(str(block) for block in blocks if holding in block)


def _check(folder: Path, decision: bytes, vkey: str) -> bytes:
    """Run README's twenty lines on the decision; they must refuse a leaf that was changed."""
    answer, script, path = orjson.loads(decision), folder / "check.py", folder / "decision.json"
    script.write_text(_block("python", "RFC 9162"), encoding="utf-8")
    path.write_bytes(decision)
    command = [sys.executable, str(script), str(path), vkey]
    proved = subprocess.run(command, capture_output=True, check=True).stdout
    leaf = bytearray(b64decode(answer["receipt"]["leaf"]))
    leaf[-2] ^= 1
    answer["receipt"]["leaf"] = b64encode(leaf).decode()
    path.write_bytes(orjson.dumps(answer))
    refused = subprocess.run(command, capture_output=True, check=False)
    assert b"the leaf is not in this tree" in refused.stderr
    return proved


def _decide_in_english(command: str, var: Path) -> str:
    order = re.search(r"-d '(.*)'", command, re.DOTALL)
    assert order
    path = var.parent / "order.json"
    path.write_text(order[1], encoding="utf-8")
    arguments = ("--kind", "admission", "--lang", "en", "--json", "--var", str(var))
    done = subprocess.run(
        candor("decide", str(path), *arguments), capture_output=True, text=True, check=True
    )
    return str(orjson.loads(done.stdout)["summary"])


def _differences(shown: Json, came: Json, place: str) -> list[str]:
    """List where the answer is not what is shown; `…` stands for anything."""
    if shown == _ANY:
        return []
    if isinstance(shown, dict) and isinstance(came, dict):
        return [
            difference
            for name, value in shown.items()
            for difference in _differences(value, came.get(name), f"{place}/{name}")
        ]
    if isinstance(shown, list) and isinstance(came, list):
        pairs = zip_longest(shown, came[: len(shown)])
        return [
            difference
            for index, (left, right) in enumerate(pairs)
            for difference in _differences(left, right, f"{place}/{index}")
        ]
    return [] if shown == came else [f"{place}: {came!r}, shown is {shown!r}"]
