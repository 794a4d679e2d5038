"""A process that appends until it is killed: python -m tests.audit.notary_writer FOLDER FIRST.

Each answered entry is one line of its output, written after it was kept outside.
"""

import sys
from itertools import count
from pathlib import Path

from tests.audit.sample import Log


def main(folder: str, first: int) -> None:
    """Append one entry after the other, for ever."""
    log = Log(Path(folder))
    for number in count(first):
        [appended] = log.add(number)
        sys.stdout.write(f"{appended.entry_id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
