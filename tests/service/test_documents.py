"""Every endpoint and every command has its line in the documents."""

from pathlib import Path

import pytest
import typer.main

from service.app import create_app
from service.cli.application import application
from service.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def endpoints() -> list[str]:
    paths = create_app(Settings(log_level="error")).openapi()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def commands() -> list[str]:
    group = typer.main.get_command(application)
    names: list[str] = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # it is a group
        inner = getattr(command, "commands", None)
        names += [f"candor {name}"] if inner is None else [f"candor {name} {one}" for one in inner]
    return names


@pytest.mark.parametrize("endpoint", endpoints())
def test_each_endpoint_is_documented(endpoint: str) -> None:
    assert f"| `{endpoint}` |" in (DOCS / "http.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", commands())
def test_each_command_is_documented(command: str) -> None:
    assert f"`{command}" in (DOCS / "cli.md").read_text(encoding="utf-8")
