"""Kinds that an outside node serves, on disk: canonical JSON under the digest of its bytes.

What is a bundle for a trained model is the kind itself for such a node: which node is asked for
what, what it may be sent, and how its answer is read.
"""

from pathlib import Path

import orjson

from models.content_store import load_content, save_content
from models.errors import BundleCorruptError, KindFileError
from models.kind import Kind, parse_kind


def save_kind(root: Path, kind: Kind) -> str:
    """Write a kind below `root` and return its digest; durable when this returns."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2
    return save_content(root, orjson.dumps(kind.canonical(), option=options))


def load_stored_kind(root: Path, digest: str) -> Kind:
    """Read a kind and check it against `digest`.

    Raises
    ------
    BundleCorruptError
        When it is missing, altered or no kind.
    """
    try:
        return parse_kind(orjson.loads(load_content(root, digest)))
    except (orjson.JSONDecodeError, KindFileError, TypeError) as error:
        raise BundleCorruptError(f"the document named {digest} is not a kind") from error
