"""Go's sumdb/note and sumdb/tlog say of our proofs what we say: the whole ones and no other."""

import os
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path

import orjson
import pytest

from tests.independent.cases import Case, altered_cases, whole_cases

GOPATH = Path("/usr/share/gocode")
SOURCE = Path(__file__).with_name("main.go")
ALTERED = 200


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed: apt-get install golang-go")
    if not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go's sumdb is not installed: apt-get install golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    program = folder / "checker"
    # Packages come from the system alone: nothing is fetched.
    environment = {
        **os.environ,
        "GOPATH": str(GOPATH),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        # A C compiler is not among what is installed for this.
        "CGO_ENABLED": "0",
        "GOCACHE": str(folder / "cache"),
    }
    build = [go, "build", "-o", str(program), str(SOURCE)]
    subprocess.run(build, check=True, env=environment, timeout=300)
    return program


def ask(checker: Path, cases: list[Case]) -> list[str]:
    lines = [
        orjson.dumps(
            {
                "Key": case.key,
                "Note": case.note,
                "Index": case.index,
                "Leaf": b64encode(case.leaf).decode(),
                "Proof": [b64encode(digest).decode() for digest in case.proof],
                "Old": case.old,
            }
        )
        for case in cases
    ]
    done = subprocess.run(
        [checker], input=b"\n".join(lines), capture_output=True, check=True, timeout=60
    )
    said = done.stdout.decode().splitlines()
    assert len(said) == len(cases)
    return said


def test_go_accepts_what_we_answered(checker: Path, tmp_path: Path) -> None:
    """Each inclusion proof as answered, and consistency between all checkpoints."""
    cases = whole_cases(tmp_path)
    assert len(cases) == 66
    assert set(ask(checker, cases)) == {"accepted"}


def test_go_refuses_what_was_altered(checker: Path, tmp_path: Path) -> None:
    """Two hundred alterations of twelve sorts; each is refused."""
    cases = list(altered_cases(whole_cases(tmp_path), ALTERED, seed=5))
    said = ask(checker, cases)
    accepted = [case.name for case, word in zip(cases, said, strict=True) if word == "accepted"]
    assert accepted == []
    assert len({case.name.rpartition(" ")[2] for case in cases}) == 12
