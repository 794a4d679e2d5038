"""Lines that belong to entries: facts, receipts and personal parts, in the order of the log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from reports.verifier.findings import CheckError

FACTS_BEGIN, FACTS_END = b'{"leaf_index":%d,"facts":', b"}"


@dataclass(frozen=True)
class Leaf:
    """An entry of the range.

    Parameters
    ----------
    index
        Place in the log.
    digest
        Hash of the leaf.
    header
        The leaf as JSON.
    is_matched
        Whether it is a decision that was asked for.
    is_related
        Whether it is about one.
    """

    index: int
    digest: bytes
    header: dict[str, object]
    is_matched: bool
    is_related: bool


class IndexedLines:
    """Lines with a leaf index each, taken while the log goes by.

    Parameters
    ----------
    lines
        JSON objects with `leaf_index`, rising.
    """

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._next: tuple[bytes, dict[str, object]] | None = None
        self.taken = 0
        self._advance(-1)

    def take(self, index: int) -> "tuple[bytes, dict[str, object]] | None":
        """Return the line of an entry and what it says, or None when it has none."""
        found = self._next
        if found is None or found[1]["leaf_index"] != index:
            return None
        self.taken += 1
        self._advance(index)
        return found

    def verify_finished(self) -> None:
        """Check that no line is left over; raises `CheckError`."""
        if self._next is not None:
            index = self._next[1]["leaf_index"]
            raise CheckError(
                f"有一行属于区间外的条目 {index}", f"a line belongs to entry {index}, not here"
            )

    def _advance(self, after: int) -> None:
        line = next(self._lines, None)
        if line is None:
            self._next = None
            return
        said = json.loads(line)
        if not isinstance(said.get("leaf_index"), int) or said["leaf_index"] <= after:
            raise CheckError("行的顺序不对", "lines are out of order")
        self._next = (line, said)


def cut_facts(line: bytes, index: int) -> bytes:
    """Return the exact bytes of the facts in a line; raises `CheckError` when it holds none."""
    begin = FACTS_BEGIN % index
    if not line.startswith(begin) or not line.endswith(FACTS_END):
        raise CheckError(
            f"条目 {index} 的事实行格式不对", f"the facts of entry {index} are malformed"
        )
    return line[len(begin) : -len(FACTS_END)]
