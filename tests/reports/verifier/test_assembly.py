"""The single file: whole, without anything of ours, and with one owner for every name."""

import ast
import sys
from pathlib import Path

import pytest

from reports.errors import VerifierSourceError
from reports.verifier import assembly
from reports.verifier.assembly import MODULES, assemble_verifier, join_sources


def test_it_imports_the_standard_library_only() -> None:
    tree = ast.parse(assemble_verifier())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_every_module_is_part_of_it() -> None:
    folder = Path(assembly.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "assembly"}
    assert set(MODULES) == modules


def test_a_name_with_two_owners_is_refused() -> None:
    with pytest.raises(VerifierSourceError, match="one and two both define f"):
        join_sources({"one": "def f(): ...\n", "two": "x: int = 1\nf = 2\n"})
