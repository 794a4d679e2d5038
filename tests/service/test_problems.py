"""Every error has its own problem document, and its paragraph in the documents."""

import importlib
import pkgutil
from pathlib import Path

import orjson
import pytest

import audit
import models
import reports
import service
import training
from models.errors import FieldFault, OrderInvalidError, PlatformError
from service.errors import OverloadedError, UnauthenticatedError
from service.problems import PROBLEMS, find_problem, render_problem

ROOT = Path(__file__).parents[2]


def all_errors() -> list[type[PlatformError]]:
    for package in (models, audit, training, reports, service):
        for module in pkgutil.iter_modules(package.__path__):
            if module.name == "errors":
                importlib.import_module(f"{package.__name__}.errors")
    found, waiting = [PlatformError], [PlatformError]
    while waiting:
        children = waiting.pop().__subclasses__()
        found += children
        waiting += children
    return [error for error in found if error.__module__.split(".")[0] != "tests"]


@pytest.mark.parametrize("error", all_errors())
def test_each_class_has_its_entry(error: type[PlatformError]) -> None:
    assert error in PROBLEMS


def test_no_two_classes_share_a_code() -> None:
    codes = [error.code for error in all_errors()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", all_errors())
def test_each_code_is_documented(error: type[PlatformError]) -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert f"| `{error.code}` | {PROBLEMS[error].status} |" in text


def test_the_document_says_what_went_wrong_and_what_to_do() -> None:
    error = OrderInvalidError((FieldFault("/stock", "not a number"),))
    response = render_problem(error, "/v1/decisions/parcel", 1)
    assert response.status_code == 422
    assert response.media_type == "application/problem+json"
    assert orjson.loads(response.body) == {
        "type": "urn:candor:problem:order-invalid",
        "title": "The order is not as the kind asks",
        "status": 422,
        "detail": "1 field(s) of the order are not as the kind asks",
        "instance": "/v1/decisions/parcel",
        "code": "order-invalid",
        "remedy": "Correct the fields listed in errors and send the order again.",
        "errors": [{"pointer": "/stock", "message": "not a number"}],
    }


def test_back_pressure_says_when_to_come_back() -> None:
    assert render_problem(OverloadedError("full"), "/", 7).headers["Retry-After"] == "7"


def test_an_unknown_caller_is_told_how_to_say_who_it_is() -> None:
    headers = render_problem(UnauthenticatedError("no key"), "/", 1).headers
    assert headers["WWW-Authenticate"].startswith("Bearer")


def test_a_class_without_entry_is_answered_as_its_parent() -> None:
    class UnlistedError(OverloadedError):
        """Only here."""

    assert find_problem(UnlistedError("x")) == PROBLEMS[OverloadedError]
