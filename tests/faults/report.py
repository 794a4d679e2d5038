"""What the fault runs measured, as a table for readers and as JSON for programs."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson


@dataclass(slots=True)
class Row:
    """Runs of one sort.

    Parameters
    ----------
    part
        Which part of the sweep.
    what
        What was done.
    runs, fired
        How many there were, and in how many the fault is known to have happened.
    problems
        Answered decisions lost, gaps, double records, unclear errors; a sentence each.
    seconds
        How long they took together.
    notes
        Further counts.
    """

    part: str
    what: str
    runs: int = 0
    fired: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    notes: Counter[str] = field(default_factory=Counter)

    def add(
        self,
        *,
        fired: bool = True,
        problems: Iterable[str] = (),
        seconds: float = 0.0,
        note: str = "",
    ) -> None:
        """Count one run."""
        self.runs += 1
        self.fired += fired
        self.problems += problems
        self.seconds += seconds
        if note:
            self.notes[note] += 1


class FaultReport:
    """All rows of a session."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}

    def row(self, part: str, what: str) -> Row:
        """Return the row of a sort of runs, made when it is first asked for."""
        return self.rows.setdefault((part, what), Row(part, what))

    def write(self, folder: Path, now: datetime | None = None) -> None:
        """Write ``report.md`` and ``report.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        made_at = (now or datetime.now(UTC)).isoformat(timespec="seconds")
        (folder / "report.md").write_text(self.to_markdown(made_at), encoding="utf-8")
        said = {"made_at": made_at, "rows": list(self.rows.values())}
        (folder / "report.json").write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2))

    def to_markdown(self, made_at: str) -> str:
        """Return the report as text."""
        lines = [f"# Fault runs, {made_at}", ""]
        for part in dict.fromkeys(row.part for row in self.rows.values()):
            rows = [row for row in self.rows.values() if row.part == part]
            lines += [f"## {part}", "", "| what | runs | fired | problems | seconds | of them |"]
            lines += ["|---|---|---|---|---|---|"]
            lines += [_format(row) for row in [*rows, _total(part, rows)]]
            lines += ["", *(f"- {row.what}: {said}" for row in rows for said in row.problems), ""]
        return "\n".join(lines)


def _total(part: str, rows: list[Row]) -> Row:
    total = Row(part, "**all**")
    for row in rows:
        total.runs += row.runs
        total.fired += row.fired
        total.problems += row.problems
        total.seconds += row.seconds
    return total


def _format(row: Row) -> str:
    notes = ", ".join(f"{name} {count}" for name, count in row.notes.most_common(8))
    counts = f"{row.runs} | {row.fired} | {len(row.problems)} | {row.seconds:.0f}"
    return f"| {row.what} | {counts} | {notes} |"
