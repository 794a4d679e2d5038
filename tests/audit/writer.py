"""A process that appends and prints what was acknowledged: python writer.py URL NAME N SIZE.

It starts when its standard input is closed or gets a line, so that several start together.
"""

import sys

from audit.log import Appended, append
from audit.store import open_store
from tests.audit.sample import SEALER, SIGNER, make_decision_entry


def main(url: str, first_number: int, batches: int, size: int) -> None:
    """Append batches and print the id and place of every acknowledged entry."""
    store = open_store(url)
    sys.stdin.readline()
    for batch in range(batches):
        begin = first_number + batch * size
        entries = [make_decision_entry(number) for number in range(begin, begin + size)]
        for answer in append(store, entries, SIGNER, SEALER):
            if isinstance(answer, Appended):
                sys.stdout.write(f"{answer.entry_id} {answer.leaf_index}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
