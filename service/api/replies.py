"""Values to responses: one way to write JSON, so that equal answers are equal bytes."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response

from models.domain import Json, Language


def json_reply(
    value: Mapping[str, Json], status: int = 200, language: Language | None = None
) -> Response:
    """Return a JSON response.

    Parameters
    ----------
    language
        Of the texts in it; None when it holds none.
    """
    headers = {}
    if language is not None:
        headers["Content-Language"] = "zh-CN" if language == "zh" else "en"
        headers["Vary"] = "Accept-Language"
    return Response(orjson.dumps(value), status, headers, "application/json")


def text_reply(text: str) -> Response:
    """Return a plain text response."""
    return Response(text, media_type="text/plain")


def bytes_reply(content: bytes, media_type: str, *, immutable: bool = False) -> Response:
    """Return exact bytes.

    Parameters
    ----------
    immutable
        Whether they never change, so that anybody may keep them.
    """
    headers = {}
    if immutable:
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return Response(content, 200, headers, media_type)
