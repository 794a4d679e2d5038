"""Who may do what: one table, denied unless it says so."""

import pytest

from service.auth import PERMISSIONS, Action, Principal, Role, authenticate, require
from service.errors import PermissionDeniedError, UnauthenticatedError


def test_every_action_has_a_row() -> None:
    assert set(PERMISSIONS) == set(Action)


def test_the_table_is_the_contract() -> None:
    def only(action: Action) -> set[Role]:
        return {role for role in Role if Principal("k", role).may(action)}

    assert only(Action.DECIDE) == {Role.OMS}
    assert only(Action.OVERRIDE) == {Role.OPERATOR}
    assert only(Action.REPORT_OUTCOME) == {Role.OMS}
    assert only(Action.SEARCH) == {Role.AUDITOR, Role.OPERATOR}
    assert only(Action.REPLAY) == {Role.AUDITOR}
    assert only(Action.READ_FACTS) == {Role.AUDITOR}
    assert only(Action.READ_PROOF) == set(Role)


def test_what_is_not_in_the_table_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(PERMISSIONS, Action.READ_KINDS)
    with pytest.raises(PermissionDeniedError, match="admin may not read kinds"):
        require(Principal("k", Role.ADMIN), Action.READ_KINDS)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic abc", "Bearer unknown"])
def test_without_a_known_key_nobody_is_let_in(header: str | None) -> None:
    known = {"secret": Principal("k", Role.OMS)}
    with pytest.raises(UnauthenticatedError):
        authenticate(header, known.get)


def test_a_known_key_names_its_principal() -> None:
    known = {"secret": Principal("k", Role.OMS)}
    assert authenticate("bearer secret", known.get) == Principal("k", Role.OMS)
