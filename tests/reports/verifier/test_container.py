"""A bundle's container: what it may not hold, whatever it says of itself."""

import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from reports.verifier import container as module
from reports.verifier.container import Container
from reports.verifier.findings import CheckError, Findings, render_verdicts
from reports.verifier.parts import IndexedLines, cut_facts


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../manifest.json",
        "a/../manifest.json",
        "manifest.json/",
        "C:/manifest.json",
        "bundles/sha256-00/model.txt",
        f"bundles/sha256-{'a' * 64}/../model.txt",
        f"bundles/sha256-{'a' * 64}/model.pkl",
        "Manifest.json",
    ],
)
def test_no_other_name_is_let_in(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckError):
        Container(pack(tmp_path / "one.zip", {name: b"x"}))


def test_a_name_that_the_library_would_cut_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "one.zip", {"facts.jsonlxx": b"x"})
    path.write_bytes(path.read_bytes().replace(b"facts.jsonlxx", b"facts.jsonl\x00x"))
    with pytest.raises(CheckError, match="not allowed"):
        Container(path)


def test_numbers_and_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "one.zip", {"facts.jsonl": b"abc\n", "tree.json": b"{}"})
    with closing(Container(path)) as container:
        assert list(container.lines("facts.jsonl")) == [b"abc"]
        with pytest.raises(CheckError, match="missing"):
            container.read("headers.jsonl")
        monkeypatch.setattr(module, "_LONGEST_LINE", 2)
        with pytest.raises(CheckError, match="too long"):
            list(container.lines("facts.jsonl"))
        monkeypatch.setattr(module, "_LARGEST_DOCUMENT", 1)
        with pytest.raises(CheckError, match="too large"):
            container.read("tree.json")
    for limit in ("_MOST_BYTES", "_MOST_FILES"):
        with monkeypatch.context() as narrow:
            narrow.setattr(module, limit, 1)
            with pytest.raises(CheckError, match="too many files or bytes"):
                Container(path)
            folder = tmp_path / limit
            folder.mkdir()
            for number in range(3):
                (folder / f"{number}.json").write_text("x")
            with pytest.raises(CheckError, match="too many files or bytes"):
                Container(folder)


def test_lines_belong_to_rising_entries() -> None:
    lines = IndexedLines(iter([b'{"leaf_index":3}', b'{"leaf_index":3}']))
    with pytest.raises(CheckError, match="out of order"):
        lines.take(3)
    left = IndexedLines(iter([b'{"leaf_index":9}']))
    assert left.take(3) is None
    with pytest.raises(CheckError, match="entry 9"):
        left.verify_finished()
    with pytest.raises(CheckError, match="malformed"):
        cut_facts(b'{"facts":{},"leaf_index":3}', 3)


def test_what_could_not_be_done_is_not_good() -> None:
    findings = Findings()
    with findings.step("tree"):
        raise KeyError("x")
    assert findings.exit_code() == 1
    printed = render_verdicts(findings)
    assert "the content cannot be read (KeyError)" in printed
    assert Findings().exit_code() == 1
