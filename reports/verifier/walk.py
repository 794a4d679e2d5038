"""One pass along the headers of the range: tree, facts, receipts, and whoever else looks at them.

Nothing but the tree's edge and what a check itself collects stays in memory.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from reports.verifier.container import Container
from reports.verifier.findings import CheckError, Findings
from reports.verifier.parts import IndexedLines, Leaf, cut_facts
from reports.verifier.proofs import (
    GrowingTree,
    hash_leaf,
    parse_receipt,
    verify_inclusion_proof,
)
from reports.verifier.purges import PURGE, PurgeCheck
from reports.verifier.signatures import Head
from reports.verifier.statement import ERASURE, OPEN_TYPES, Scope


class Observer(Protocol):
    """A check that looks at every entry of the range."""

    step: str

    def see(self, leaf: Leaf) -> None:
        """Look at an entry."""
        ...

    def finish(self) -> int:
        """Conclude, and say how many things were checked."""
        ...


def walk(
    container: Container, scope: Scope, observers: Sequence[Observer], findings: Findings
) -> None:
    """Show every entry of the range to every observer; one that fails looks no further."""
    active = list(observers)
    index = scope.begin
    with findings.step("tree"):
        for line in container.lines("headers.jsonl"):
            leaf = _read_leaf(index, line, scope)
            active = _show(leaf, active, findings)
            index += 1
    for one in active:
        with findings.step(one.step):
            findings.count(one.step, one.finish())


def _show(leaf: Leaf, observers: list[Observer], findings: Findings) -> list[Observer]:
    # Those that it did not make fail.
    return [one for one in observers if findings.guarded(one.step, one.see, leaf)]


def _read_leaf(index: int, line: bytes, scope: Scope) -> Leaf:
    header = json.loads(line)
    if not isinstance(header, dict):
        raise CheckError(
            f"条目 {index} 的标头不是对象", f"the header of entry {index} is no object"
        )
    is_matched = scope.is_matched(header)
    if is_matched:
        scope.matched.add(str(header.get("id")))
    is_related = header.get("about") in scope.matched
    return Leaf(index, hash_leaf(line), header, is_matched, is_related)


class TreeCheck:
    """Grows the tree from the headers and compares it with every checkpoint of the range.

    Parameters
    ----------
    scope
        What the bundle covers.
    edge
        Hashes of the tree's complete subtrees before the range, from right to left.
    heads
        The checkpoints.
    """

    step = "tree"

    def __init__(self, scope: Scope, edge: list[bytes], heads: Sequence[Head]) -> None:
        self._scope = scope
        self._tree = GrowingTree(scope.begin, edge)
        self._due = [head for head in heads if head.tree_size <= scope.end]
        if scope.begin:
            self._compare()

    def see(self, leaf: Leaf) -> None:
        """Add an entry; raises `CheckError` when the tree is not the one that was signed."""
        self._tree.add(leaf.digest)
        if self._due and self._due[0].tree_size == self._tree.tree_size:
            self._compare()

    def finish(self) -> int:
        """Check that the range is whole; raises `CheckError`."""
        if self._tree.tree_size != self._scope.end or self._due:
            raise CheckError("标头数目与区间不符", "the headers do not fill the range")
        return self._scope.end - self._scope.begin

    def _compare(self) -> None:
        size = self._tree.tree_size
        head = self._due.pop(0) if self._due else None
        if head is None or (head.tree_size, head.root_hash) != (size, self._tree.root_hash()):
            raise CheckError(
                f"大小为 {size} 的树与签署的根不符:有标头被改动、移动、增加或删除",
                f"the tree of size {size} is not the one signed: a header was altered, moved, "
                "added or removed",
            )


class FactsCheck:
    """Checks facts against their headers and collects what the decisions pin."""

    step = "facts"

    def __init__(self, scope: Scope, lines: IndexedLines, purged: IndexedLines) -> None:
        self._scope = scope
        self._lines = lines
        self._purged = purged
        self.purges = PurgeCheck()
        self.models: set[tuple[str, str]] = set()
        self.references: set[str] = set()
        self.published: set[tuple[str, str]] = set()
        self.loaded: set[str] = set()
        self.erasures: dict[int, dict[str, int]] = {}

    def see(self, leaf: Leaf) -> None:
        """Check the facts of an entry; raises `CheckError`."""
        header = leaf.header
        is_due = leaf.is_matched or leaf.is_related or header.get("type") in OPEN_TYPES
        found, purged = self._lines.take(leaf.index), self._purged.take(leaf.index)
        if purged is not None and found is None:
            self.purges.claim(leaf, purged[1]["purged_by"])
            self._scope.purged.add(leaf.index)
        elif purged is not None:
            raise CheckError(
                f"条目 {leaf.index} 既有事实又称已清理",
                f"entry {leaf.index} has facts and is said to be purged",
            )
        elif found is not None:
            content = cut_facts(found[0], leaf.index)
            if sha256(content).hexdigest() != header.get("facts_sha256"):
                raise CheckError(
                    f"条目 {leaf.index} 的事实不是标头所记",
                    f"the facts of entry {leaf.index} are not those that its header names",
                )
        elif is_due and "facts_sha256" in header and not self._is_missing(leaf.index):
            raise CheckError(
                f"缺少条目 {leaf.index} 的事实", f"the facts of entry {leaf.index} are missing"
            )
        said = found[1]["facts"] if found else None
        given = said if isinstance(said, dict) else {}
        self.collect(leaf.index, leaf.header, given, is_matched=leaf.is_matched)

    def _is_missing(self, index: int) -> bool:
        return index in self._scope.missing["facts"]

    def collect(
        self,
        index: int,
        header: dict[str, object],
        facts: dict[str, object],
        *,
        is_matched: bool,
    ) -> None:
        """Note what an entry pins, brings into force, or erased."""
        model = header.get("model")
        bundle = str(model.get("bundle")) if isinstance(model, dict) else ""
        if is_matched:
            self.models.add((bundle, str(header.get("policy"))))
            around = facts.get("surroundings")
            pinned = around.get("references") if isinstance(around, dict) else None
            self.references |= {str(one["digest"]) for one in pinned or []}
        elif header.get("type") == "publication":
            self.published.add((bundle, str(header.get("policy"))))
        elif header.get("type") == "reference":
            self.loaded.add(str(facts.get("digest")))
        elif header.get("type") == PURGE:
            self.purges.collect(index, header, facts)
        elif header.get("type") == ERASURE:
            counts = facts.get("records")
            self.erasures[index] = dict(counts) if isinstance(counts, dict) else {}

    def finish(self) -> int:
        """Check that nothing is left over; raises `CheckError`."""
        self._lines.verify_finished()
        self._purged.verify_finished()
        return self._lines.taken + self._purged.taken


class ReceiptCheck:
    """Checks that each receipt leads from its entry to a checkpoint of this bundle."""

    step = "receipts"

    def __init__(self, lines: IndexedLines, heads: Sequence[Head]) -> None:
        self._lines = lines
        self._heads = list(heads)

    def see(self, leaf: Leaf) -> None:
        """Check the receipt of an entry; raises `CheckError`."""
        found = self._lines.take(leaf.index)
        if found is None:
            if leaf.is_matched or leaf.is_related:
                raise CheckError(
                    f"缺少条目 {leaf.index} 的回执", f"the receipt of entry {leaf.index} is missing"
                )
            return
        # Checkpoints and entries both rise, so the covering one is near the front.
        while self._heads and self._heads[0].tree_size <= leaf.index:
            self._heads.pop(0)
        index, proof, note = parse_receipt(str(found[1]["receipt"]))
        covering = self._heads[0] if self._heads else None
        is_ours = covering and sha256(note.encode()).digest() == covering.note_digest
        if covering is None or not is_ours or index != leaf.index:
            raise CheckError(
                f"条目 {leaf.index} 的回执属于别的条目或检查点",
                f"the receipt of entry {leaf.index} is of another entry or checkpoint",
            )
        verify_inclusion_proof(leaf.digest, index, covering.tree_size, proof, covering.root_hash)

    def finish(self) -> int:
        """Check that nothing is left over; raises `CheckError`."""
        self._lines.verify_finished()
        return self._lines.taken
