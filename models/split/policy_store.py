"""Split policies on disk, beside the other policies: content-addressed JSON, data only."""

from pathlib import Path

import orjson
from pydantic import ValidationError

from models.content_store import load_content, save_content
from models.domain import PolicyRef
from models.split.errors import SplitPolicyError
from models.split.policy import SplitPolicy


def save_split_policy(root: Path, policy: SplitPolicy) -> PolicyRef:
    """Write a policy below `root` under its digest and return its reference."""
    document = policy.model_dump(mode="json")
    content = orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    return PolicyRef(policy.name, policy.version, save_content(root, content))


def load_split_policy(root: Path, digest: str) -> SplitPolicy:
    """Read a policy and check it against `digest`.

    Raises
    ------
    BundleCorruptError
        When it is missing or altered.
    SplitPolicyError
        When it is another sort of policy.
    """
    content = load_content(root, digest)
    try:
        return SplitPolicy.model_validate_json(content)
    except ValidationError as error:
        raise SplitPolicyError(f"the document named {digest} is not a split policy") from error
