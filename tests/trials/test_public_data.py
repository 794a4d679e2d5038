"""The data's folder, and the joined table."""

from csv import DictReader
from pathlib import Path

import pytest
from _pytest.outcomes import Skipped

from tests.trials.public_data import public_data, write_ucsd_csv


def test_a_missing_data_set_skips_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANDOR_DATA", str(tmp_path))
    with pytest.raises(Skipped, match=r"no public data set scms_usaid .*docs/trials\.md"):
        public_data("scms_usaid")


def test_the_joined_table_has_one_label_for_each_of_the_first_rows(tmp_path: Path) -> None:
    path = tmp_path / "joined.csv"
    write_ucsd_csv(path, 500)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(DictReader(file))
    assert [row["row_id"] for row in rows] == [str(number) for number in range(1, 501)]
    assert {row["fraud"] for row in rows} <= {"0", "1"}
    assert all(row["amount"] for row in rows)
