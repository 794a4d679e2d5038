"""What a log tells a witness, and what a witness answers (C2SP tlog-witness).

The text of a submission: the size that the witness saw last, a consistency proof from there, an
empty line, the checkpoint. Nothing here speaks to a witness: the service does.
"""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from sqlalchemy import func, select
from sqlmodel import col

from audit.checkpoint import VerifierKey, parse_checkpoint, parse_decimal
from audit.errors import CheckpointInvalidError, RecordNotFoundError
from audit.merkle import Tree, consistency_ids, edge_ids
from audit.reading import Reading
from audit.tables import CosignatureRow

_LONGEST_SIZE_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint for a witness.

    Parameters
    ----------
    body
        What is posted.
    note
        The checkpoint in it.
    old_size, tree_size
        Size that the witness saw last, and size of the checkpoint.
    """

    body: bytes
    note: str
    old_size: int
    tree_size: int


def build_submission(reading: Reading, note: str, old_size: int) -> Submission:
    """Return the submission of a checkpoint to a witness that saw `old_size` last.

    Parameters
    ----------
    reading
        A snapshot of the log.
    note
        A checkpoint of the log, as stored.
    old_size
        From 0, of which there is no proof, to the checkpoint's size.

    Raises
    ------
    RecordNotFoundError
        If the log is not as large as what the witness saw.
    """
    size = parse_checkpoint(note).tree_size
    if not 0 <= old_size <= size:
        raise RecordNotFoundError(f"the log holds {size} entries, not {old_size}")
    proof: list[bytes] = []
    if old_size:
        nodes = reading.nodes([*edge_ids(size), *consistency_ids(old_size, size)])
        proof = Tree(size, nodes).consistency_proof(old_size)
    lines = [f"old {old_size}", *(b64encode(digest).decode("ascii") for digest in proof), "", note]
    return Submission("\n".join(lines).encode(), note, old_size, size)


def parse_seen_size(content: bytes) -> int:
    r"""Read the size that a witness answers when it saw another one last.

    Raises
    ------
    CheckpointInvalidError
        If it is not one number on one line.

    Examples
    --------
    >>> parse_seen_size(b"41\n")
    41
    """
    if len(content) > _LONGEST_SIZE_BYTES or not content.endswith(b"\n"):
        raise CheckpointInvalidError("a size is one line")
    return parse_decimal(content[:-1].decode("latin-1"))


def cosigned_size(reading: Reading, witness: VerifierKey) -> int:
    """Return the size of the newest checkpoint that a witness cosigned; 0 for none."""
    named = col(CosignatureRow.witness) == f"{witness.name}+{witness.key_id.hex()}"
    [row] = reading.rows(select(func.max(col(CosignatureRow.tree_size))).where(named))
    return int(row[0] or 0)
