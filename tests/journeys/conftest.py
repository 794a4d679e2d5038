"""One folder with models of the default size, trained once by the real command."""

import subprocess
from pathlib import Path

import pytest

from tests.journeys.service_process import ROOT, candor


@pytest.fixture(scope="session")
def demo_var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `candor demo` has run: both models live, keys made."""
    var = tmp_path_factory.mktemp("demo") / "var"
    done = subprocess.run(
        candor("demo", "--var", str(var)), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "proof verified" in done.stdout
    assert "replay identical" in done.stdout
    (var / "demo.txt").write_text(done.stdout, encoding="utf-8")
    return var
