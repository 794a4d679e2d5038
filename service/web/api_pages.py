"""The API's own pages at `/docs`: Swagger UI, vendored, under a strict content policy.

FastAPI's own page loads its script from a CDN and starts it inline; a service that may see only
its own network can do neither.
"""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from service.errors import PageNotFoundError

router = APIRouter(include_in_schema=False)
_HERE: Final = Path(__file__).parent
_VENDOR: Final = _HERE / "vendor" / "swagger-ui"
_ASSETS: Final = {
    "swagger-ui.css": (_VENDOR / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (_VENDOR / "swagger-ui-bundle.js", "text/javascript"),
    "favicon-32x32.png": (_VENDOR / "favicon-32x32.png", "image/png"),
    "start.js": (_HERE / "start.js", "text/javascript"),
}
_CACHE: Final = {"Cache-Control": "public, max-age=3600"}


@router.get("/docs")
def show_api() -> Response:
    """Return the page."""
    return FileResponse(_HERE / "api_pages.html", media_type="text/html")


@router.get("/docs/{name}")
def send_asset(name: str) -> Response:
    """Return a file that the page loads; only those listed here exist.

    Raises
    ------
    PageNotFoundError
        For any other name.
    """
    found = _ASSETS.get(name)
    if found is None:
        raise PageNotFoundError("there is nothing at this path")
    path, media_type = found
    return FileResponse(path, media_type=media_type, headers=_CACHE)
