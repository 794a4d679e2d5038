"""Settings: defaults that work, frozen, documented, the environment's only reader."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.mark.sqlite("where its file lies")
def test_everything_lies_under_var() -> None:
    settings = Settings(var=Path("/data"))
    assert settings.store_url == "sqlite:////data/candor.db"
    folders = (settings.bundles, settings.policies, settings.keys, settings.mlflow)
    assert all(folder.is_relative_to("/data") for folder in folders)


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_PORT", "9001")
    monkeypatch.setenv("CANDOR_LANGUAGE", "en")
    assert (Settings().port, Settings().language) == (9001, "en")


def test_they_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]  # that it is refused is the test


@pytest.mark.parametrize("wrong", [{"port": 70_000}, {"max_body_bytes": 0}, {"language": "fr"}])
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)


def test_nothing_is_kept_less_than_six_months(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter retention is refused at the start; kinds that are not named have the default."""
    monkeypatch.setenv("CANDOR_RETENTION_DAYS", '{"*": 500, "risk": 184}')
    retention = Settings().retention
    assert (retention.days_of("risk"), retention.days_of("admission")) == (184, 500)
    monkeypatch.setenv("CANDOR_RETENTION_DAYS", '{"risk": 183}')
    with pytest.raises(ValidationError, match=r"risk is kept less than 184 days \(six months\)"):
        Settings()
    monkeypatch.setenv("CANDOR_RETENTION_DAYS", "three years")
    with pytest.raises(ValidationError, match=r"docs/settings\.md"):
        Settings()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_documented(name: str) -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert f"| `CANDOR_{name.upper()}` |" in text


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_described_in_its_class(name: str) -> None:
    assert name in (Settings.__doc__ or "")


def test_nobody_else_reads_the_environment() -> None:
    readers = [
        path.name
        for package in ("models", "audit", "reports", "service")
        for path in (ROOT / package).rglob("*.py")
        if "os.environ" in path.read_text(encoding="utf-8")
        or "getenv" in path.read_text(encoding="utf-8")
    ]
    assert readers == []
