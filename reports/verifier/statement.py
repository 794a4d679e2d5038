"""What the manifest says of the bundle, and whether the entries add up to it."""

import json
from collections import Counter
from dataclasses import dataclass, field

from reports.verifier.findings import CheckError
from reports.verifier.parts import Leaf

FORMAT = "candor-evidence/1"
DECISION = "decision"
ERASURE = "erasure"
# Models and tables in force, what was erased and purged: nobody's order, so always shown.
OPEN_TYPES = frozenset({"publication", "reference", "correction", ERASURE, "purge"})


@dataclass
class Scope:
    """What a bundle says that it covers.

    Parameters
    ----------
    origin, key
        Name of the log, and the verifier key that the bundle names.
    begin, end, head
        Range of leaf indexes, and the size of the log when it was exported.
    from_at, to_at, kind
        Filter of decisions; None means any.
    selection
        Ids of the only decisions asked for; None for all.
    is_personal
        Whether personal parts are opened in it.
    counts
        Name to number.
    missing
        What could not be given: "facts" and "personal" by leaf index, "artefacts" by name.
    files
        Name to SHA-256 and size.
    matched, purged
        Found on the way: ids of the decisions asked for, leaf indexes of what was purged.
    """

    origin: str
    key: str
    begin: int
    end: int
    head: int
    from_at: "str | None"
    to_at: "str | None"
    kind: "str | None"
    selection: "set[str] | None"
    is_personal: bool
    counts: dict[str, object]
    missing: dict[str, set[object]]
    files: dict[str, tuple[str, int]]
    matched: set[str] = field(default_factory=set)
    purged: set[int] = field(default_factory=set)

    def is_in_period(self, recorded_at: str) -> bool:
        """Tell whether a time, written as in headers, is within the period."""
        after = self.from_at is None or recorded_at >= self.from_at
        return after and (self.to_at is None or recorded_at < self.to_at)

    def is_matched(self, header: dict[str, object]) -> bool:
        """Tell whether an entry is a decision that was asked for."""
        return (
            header.get("type") == DECISION
            and self.is_in_period(str(header.get("recorded_at")))
            and (self.kind is None or header.get("kind") == self.kind)
            and (self.selection is None or header.get("id") in self.selection)
        )


def parse_manifest(content: bytes) -> Scope:
    """Read a manifest; raises `CheckError` when it is not canonical or not of this format."""
    said = json.loads(content)
    written = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if written.encode() != content:
        raise CheckError("清单不是规范 JSON", "the manifest is not canonical JSON")
    if said.get("format") != FORMAT:
        raise CheckError("清单格式未知", "the manifest is of an unknown format")
    covered, period = said["range"], said["period"]
    scope = Scope(
        origin=said["origin"],
        key=said["key"],
        begin=covered["begin"],
        end=covered["end"],
        head=covered["head"],
        from_at=period["from"],
        to_at=period["to"],
        kind=said["kind"],
        selection=set() if said["is_selection"] else None,
        is_personal=said["is_personal"],
        counts=said["counts"],
        missing={name: set(values) for name, values in said["missing"].items()},
        files={name: (one["sha256"], one["bytes"]) for name, one in said["files"].items()},
    )
    if not 0 <= scope.begin < scope.end <= scope.head:
        raise CheckError("索引区间不合理", "the index range makes no sense")
    if scope.is_personal and not said["reason"]:
        raise CheckError("打开个人信息却没有理由", "personal parts are opened without a reason")
    return scope


class CountCheck:
    """Counts the entries anew, and checks that the period does not end inside the bundle."""

    step = "completeness"

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._types: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._related = 0
        self._times: list[tuple[int, str]] = []
        self._last: tuple[int, str] | None = None
        self._passes_empty = False

    def see(self, leaf: Leaf) -> None:
        """Count an entry."""
        header, scope = leaf.header, self._scope
        self._types[str(header.get("type"))] += 1
        if header.get("type") == DECISION:
            self._kinds[str(header.get("kind"))] += 1
        self._related += leaf.is_related
        at = (leaf.index, str(header.get("recorded_at")))
        if scope.is_in_period(at[1]):
            self._times = [*self._times[:1], at]
        before, start = self._last, scope.from_at
        if before is not None and start is not None and before[1] < start <= at[1]:
            self._passes_empty = True
        self._last = at

    def finish(self) -> int:
        """Compare with what the manifest says; raises `CheckError`."""
        scope = self._scope
        counted: dict[str, object] = {
            "by_type": dict(self._types),
            "decisions_by_kind": dict(self._kinds),
            "matched": len(scope.matched),
            "related": self._related,
        }
        for name, value in counted.items():
            if scope.counts.get(name) != value:
                raise CheckError(f"计数 {name} 不符", f"the count {name} is another")
        if scope.selection is not None and scope.selection != scope.matched:
            raise CheckError("所选决策不齐", "the decisions asked for are not all there")
        self._verify_edges()
        return scope.end - scope.begin

    def _verify_edges(self) -> None:
        # An entry of another time on each side, or the end of the log, shows that none was cut off.
        scope = self._scope
        if scope.from_at is None and scope.to_at is None:
            whole = (scope.begin, scope.end) == (0, scope.head)
            if scope.selection is None and not whole:
                raise CheckError("区间不是整个日志", "the range is not the whole log")
            return
        if self._times:
            first, last = self._times[0][0], self._times[-1][0]
            is_cut = first == scope.begin > 0 or last == scope.end - 1 < scope.head - 1
        else:
            at_start = scope.begin == 0 and not (scope.from_at and self._is_before_period())
            is_cut = not (self._passes_empty or at_start or scope.end == scope.head)
        if is_cut:
            raise CheckError("时间段在区间边缘被截断", "the period is cut off at the range's edge")

    def _is_before_period(self) -> bool:
        return self._last is not None and self._last[1] < str(self._scope.from_at)


class OrderCheck:
    """The list of orders that the order system supplied, against the decisions of the bundle.

    Headers name no order. Which row belongs to which decision is therefore what the log's operator
    states, unless personal parts are opened: then each of them has to agree.

    Parameters
    ----------
    scope
        What the bundle covers.
    rows
        Lines of the reconciliation.
    """

    step = "orders"

    def __init__(self, scope: Scope, rows: list[dict[str, object]]) -> None:
        self._scope = scope
        self._rows = rows
        self._matched: set[int] = set()
        self._listed = {row["order_id"] for row in rows if "order_id" in row}
        self._claimed: dict[int, set[object]] = {}
        for row in rows:
            for place in _places(row):
                self._claimed.setdefault(place, set()).add(row.get("order_id"))
        self._wrong: int | None = None

    def see(self, leaf: Leaf) -> None:
        """Note which decisions were asked for."""
        if leaf.is_matched and self._rows:
            self._matched.add(leaf.index)

    def name(self, index: int, order_id: object) -> None:
        """Compare with the order that a decision's opened part names."""
        expected = {order_id} & self._listed
        if self._claimed.get(index, set()) != expected:
            self._wrong = index

    def finish(self) -> int:
        """Compare with the reconciliation; raises `CheckError`."""
        found = 0
        for number, row in enumerate(self._rows, start=1):
            places = _places(row)
            is_named = isinstance(row.get("order_id"), str) == self._scope.is_personal
            if row["row"] != number or not is_named or not self._matched.issuperset(places):
                raise CheckError(
                    f"第 {number} 行订单不符", f"row {number} of the orders is another"
                )
            found += bool(places)
        if self._wrong is not None:
            raise CheckError(
                f"条目 {self._wrong} 的订单号与核对表不符",
                f"the order of entry {self._wrong} is not the one that the list names",
            )
        counted = {"supplied": len(self._rows), "found": found}
        if self._scope.counts.get("orders", {"supplied": 0, "found": 0}) != counted:
            raise CheckError("订单计数不符", "the count of orders is another")
        return len(self._rows)


def _places(row: dict[str, object]) -> list[int]:
    named = row["leaf_indexes"]
    if not isinstance(named, list):
        raise CheckError("订单行格式不对", "a row of the orders is malformed")
    return named
