"""The API's pages load everything from the service itself, under a strict content policy."""

import re

import pytest
from starlette.testclient import TestClient


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) >= 4
    for path in loaded:
        assert path.startswith("/")
        assert client.get(path).status_code == 200, path
    assert not re.search(r"<script>|<script [^>]*>[^<]+</script>| on[a-z]+=", page.text)


@pytest.mark.parametrize("name", ["nothing.js", "..%2f..%2fsettings.py", "LICENSE"])
def test_only_what_the_page_needs_is_sent(client: TestClient, name: str) -> None:
    assert client.get(f"/docs/{name}").status_code == 404
