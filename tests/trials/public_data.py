"""Where the public data sets are, and the one join that they need.

Nothing of them is in the project: without the folder the trials are skipped. docs/trials.md says
where the data is published.
"""

import csv
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_PROJECT: Final = Path(__file__).parents[2]
_CONTEST: Final = "DataminingContest2009.Task1.Train"


def public_data(name: str) -> Path:
    """Return the folder of a data set: below CANDOR_DATA, or beside the project.

    Skips the test that asks when it is not there.
    """
    root = Path(os.environ.get("CANDOR_DATA") or _PROJECT.parent / "shared" / "data")
    folder = root / name
    if not folder.is_dir():
        pytest.skip(f"no public data set {name} below {root}; see docs/trials.md")
    return folder


def scms_csv() -> Path:
    """Return the SCMS delivery history, as published."""
    return public_data("scms_usaid") / "SCMS_Delivery_History_Dataset.csv"


def write_ucsd_csv(path: Path, rows: int) -> None:
    """Join the contest's inputs and targets, line by line, into one table.

    Parameters
    ----------
    path
        The file to write: the inputs with `row_id` (the line's number) and `fraud` before them.
    rows
        How many, from the first on.
    """
    folder = public_data("ucsd2009_fraud")
    inputs, targets = (_lines(folder / f"{_CONTEST}.{part}.zip") for part in ("Inputs", "Targets"))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["row_id", "fraud", *next(csv.reader([next(inputs)]))])
        for number, cells in enumerate(csv.reader(inputs), start=1):
            if number > rows:
                return
            table.writerow([number, next(targets), *cells])


def _lines(archive: Path) -> Iterator[str]:
    with zipfile.ZipFile(archive) as opened, opened.open(opened.namelist()[0]) as file:
        for line in io.TextIOWrapper(file, encoding="utf-8"):
            yield line.rstrip("\n")
