"""Data subjects: the right to be forgotten."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from service.api.access import OpenPlatform, allow
from service.api.contract import answers, refusals
from service.api.replies import json_reply
from service.api.subject_schemas import Erasure
from service.auth import Action, Principal
from service.usecases.erase import DEFAULT_REASON, SubjectKind, erase_subject

router = APIRouter(prefix="/v1/subjects", tags=["subjects"])
Eraser = Annotated[Principal, Depends(allow(Action.ERASE_SUBJECT))]


# An id may hold a slash.
@router.delete(
    "/{subject_id:path}",
    response_class=Response,
    responses={
        **answers(Erasure, "Erased; the entry proves it."),
        **refusals(401, 403, 404, 409, 422),
    },
)
def erase(
    subject_id: str,
    platform: OpenPlatform,
    eraser: Eraser,
    of: Annotated[
        SubjectKind, Query(description="order: the id is that of an order without a customer.")
    ] = "subject",
    reason: Annotated[
        str, Query(description="A code or ticket number; nothing personal.")
    ] = DEFAULT_REASON,
) -> Response:
    """Destroy a data subject's key and remove it from every look-up."""
    return json_reply(erase_subject(platform, subject_id, kind=of, actor=eraser.id, reason=reason))
