"""Joining the verifier's modules into the one file `verify.py` that every bundle carries.

Each module's source is taken as it is, without its imports of the others; a name that two modules
define would change meaning by that, so it is refused.
"""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

from reports.errors import VerifierSourceError

# Each after those that it imports.
MODULES: Final = (
    "findings",
    "ed25519",
    "signatures",
    "proofs",
    "keychain",
    "container",
    "parts",
    "purges",
    "statement",
    "disclosure",
    "walk",
    "artefacts",
    "vouching",
    "command",
)
_PREFIX: Final = "reports.verifier."
_BLANK: Final = re.compile(r"\n{4,}")
_HEAD: Final = '''#!/usr/bin/env python3
"""检查 Candor 证据包,只用 Python 3.10+ 标准库 / checks a Candor evidence bundle with nothing but
the standard library of Python 3.10 or later.

    python3 -I -S verify.py --key VKEY [BUNDLE.zip | FOLDER]

Exit codes: 0 good, 1 a check failed, 2 wrong usage, 3 consistent but no key was given.
"""
'''
_TAIL: Final = '\n\nif __name__ == "__main__":\n    sys.exit(main())\n'


@cache
def assemble_verifier() -> bytes:
    """Return the source of `verify.py`.

    Raises
    ------
    VerifierSourceError
        When two modules define the same name.

    Examples
    --------
    >>> assemble_verifier().splitlines()[0]
    b'#!/usr/bin/env python3'
    """
    folder = Path(__file__).parent
    sources = {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in MODULES}
    return join_sources(sources).encode()


def join_sources(sources: dict[str, str]) -> str:
    """Return several modules as one.

    Parameters
    ----------
    sources
        Module name to source, each after those that it imports.

    Raises
    ------
    VerifierSourceError
        When two modules define the same name.
    """
    owners: dict[str, str] = {}
    imports: dict[str, None] = {}
    bodies = []
    for module, source in sources.items():
        tree = ast.parse(source)
        lines = source.splitlines()
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node, tree):
                if not _is_own(node) and not _is_docstring(node, tree):
                    imports[ast.unparse(node)] = None
                for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                    lines[number] = ""
            for name in _defined(node):
                if owners.setdefault(name, module) != module:
                    raise VerifierSourceError(f"{owners[name]} and {module} both define {name}")
        bodies.append(f"# --- {module}\n\n" + _BLANK.sub("\n\n\n", "\n".join(lines).strip()) + "\n")
    return _HEAD + "\n" + "\n".join(imports) + "\n\n\n" + "\n\n".join(bodies) + _TAIL


def _is_docstring(node: ast.stmt, tree: ast.Module) -> bool:
    return node is tree.body[0] and isinstance(node, ast.Expr)


def _is_own(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PREFIX)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names = [target for found in targets for target in ast.walk(found)]
    return [target.id for target in names if isinstance(target, ast.Name)]
