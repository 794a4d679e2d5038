"""Opened personal parts: that the text is what was sealed when the entry was recorded.

The signed header commits to all that was sealed with SHA-256 over a random salt, the identifiers
and the text. The bundle gives these three, so that nothing has to be decrypted and no key leaves
the log. A part that an erasure made unreadable stands for a line that names the erasure's entry,
and is accepted only when that entry says that it erased as many.
"""

import base64
import json
from collections import Counter
from hashlib import sha256

from reports.verifier.findings import CheckError
from reports.verifier.parts import IndexedLines, Leaf
from reports.verifier.statement import OrderCheck, Scope

_SALT_BYTES = 32


class PersonalCheck:
    """Checks each opened part, and that none is given without having been asked for.

    Parameters
    ----------
    lines
        The opened parts; None when the bundle has none.
    orders
        Is told which order each decision is about.
    scope
        Knows what was purged.
    """

    step = "personal"

    def __init__(self, lines: "IndexedLines | None", orders: OrderCheck, scope: Scope) -> None:
        self._scope = scope
        self._lines = lines
        self._orders = orders
        self._erased: Counter[tuple[int, str]] = Counter()

    def see(self, leaf: Leaf) -> None:
        """Check the part of an entry; raises `CheckError`."""
        if self._lines is None:
            return
        promised = leaf.header.get("personal_commitment")
        is_due = leaf.header.get("personal_sha256") is not None
        found = self._lines.take(leaf.index)
        if found is None:
            # Whether the purge is right says the step of the facts.
            is_due = is_due and leaf.index not in self._scope.purged
            if is_due and (leaf.is_matched or leaf.is_related):
                raise CheckError(
                    f"缺少条目 {leaf.index} 的个人信息部分,也没有删除条目说明原因",
                    f"the personal part of entry {leaf.index} is missing, and no erasure says why",
                )
            return
        if "erased_by" in found[1]:
            self._note_erased(leaf, found[1]["erased_by"])
            return
        identifiers = str(found[1]["identifiers"]).encode()
        if commit(found[1], identifiers) != promised:
            raise CheckError(
                f"条目 {leaf.index} 打开的内容不是当时密封的",
                f"the opened text of entry {leaf.index} is not what was sealed",
            )
        if leaf.is_matched:
            self._orders.name(leaf.index, json.loads(identifiers)["order_id"])

    def finish(self) -> int:
        """Check that nothing is left over; raises `CheckError`."""
        if self._lines is None:
            return 0
        self._lines.verify_finished()
        return self._lines.taken

    def verify_erasures(self, erasures: dict[int, dict[str, int]]) -> int:
        """Check that erasures of the log cover what is gone; raises `CheckError`.

        Parameters
        ----------
        erasures
            Leaf index of each erasure to the number of erased entries by type.

        Returns
        -------
        int
            How many parts are gone.
        """
        for (place, entry_type), number in self._erased.items():
            if number > erasures.get(place, {}).get(entry_type, 0):
                raise CheckError(
                    f"条目 {place} 没有删除这么多个人信息部分",
                    f"entry {place} did not erase so many personal parts",
                )
        return self._erased.total()

    def _note_erased(self, leaf: Leaf, place: object) -> None:
        if not isinstance(place, int) or place <= leaf.index:
            raise CheckError(
                f"条目 {leaf.index} 的个人信息部分不是之后删除的",
                f"the personal part of entry {leaf.index} was not erased after it",
            )
        self._erased[(place, str(leaf.header.get("type")))] += 1


def commit(said: dict[str, object], identifiers: bytes) -> "str | None":
    """Return what a header has to hold of an opened part, or None when it has no whole salt."""
    salt = base64.b64decode(str(said["salt"]), validate=True)
    length = len(identifiers).to_bytes(4, "big")
    inside = b"".join((salt, length, identifiers, str(said["plain"]).encode()))
    return sha256(inside).hexdigest() if len(salt) == _SALT_BYTES else None
