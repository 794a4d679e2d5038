"""The service as a process: it serves, refuses what it must, moves house and ends well."""

import shutil
import subprocess
from pathlib import Path

import orjson

from service.auth import Role
from service.settings import Settings
from service.usecases.keys import create_key
from service.wiring import open_platform
from tests.conftest import publish_small_model
from tests.journeys.service_process import ROOT, candor, serving
from tests.models import examples


def prepare(var: Path) -> str:
    with open_platform(Settings(var=var)) as platform:
        publish_small_model(platform)
        return create_key(platform, "shop", Role.OMS, "test")[1]


def test_a_copy_of_the_folder_works_as_the_original(tmp_path: Path) -> None:
    """Decide, stop, copy the folder: the copy serves the same record and goes on deciding."""
    key = prepare(tmp_path / "var")
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with serving(tmp_path / "var") as service:
        status, body = service.call("POST", "/v1/decisions/parcel", examples.order(), headers=given)
        assert status == 200
        status, refused = service.call(
            "POST", "/v1/decisions/parcel", b" " * 10_000_000, headers=given
        )
        assert (status, orjson.loads(refused)["code"]) == (413, "body-too-large")
    copy = tmp_path / "copy" / "var"
    shutil.copytree(tmp_path / "var", copy)
    decision = orjson.loads(body)
    with serving(copy) as service:
        status, again = service.call(
            "GET", f"/v1/decisions/{decision['decision_id']}", headers=given
        )
        assert (status, orjson.loads(again)["receipt"]) == (200, decision["receipt"])
        assert (
            service.call("POST", "/v1/decisions/parcel", examples.order(), headers=given)[0] == 200
        )
    done = subprocess.run(
        candor("verify", "--json", "--var", str(copy)), cwd=ROOT, check=True, capture_output=True
    )
    assert orjson.loads(done.stdout)["tree_size"] == 4


def test_serving_a_store_that_lost_its_keys_is_refused(tmp_path: Path) -> None:
    """One sentence and exit code 1, not a traceback and a new identity."""
    prepare(tmp_path / "var")
    (tmp_path / "var" / "keys" / "lookup.key").unlink()
    done = subprocess.run(
        candor("serve", "--port", "0", "--var", str(tmp_path / "var")),
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("key-file-invalid: lookup.key is missing")
