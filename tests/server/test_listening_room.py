"""The page of whoever listens in on calls."""

import re

from tests.server.site import Site


async def test_page_asks_nobody_but_its_server(site: Site):
    answer = await site.client.get("/listen")
    text = await answer.text()

    assert answer.content_type == "text/html"
    assert "{{" not in text
    parts = re.findall(r'(?:src|href)="(listen/[^"]+)"', text)
    for part in parts:
        got = await site.client.get(f"/{part}")
        assert (got.status, got.content_type in ("text/css", "text/javascript")) == (200, True)
        for module in re.findall(r'from "\./([^"]+)"', await got.text()):
            assert (await site.client.get(f"/listen/{module}")).status == 200
    assert not re.search(r"https?://", text)
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


async def test_nothing_else_is_given_out(site: Site):
    for name in ("listen.html", "page.html", "..%2Fapp.py", "none.js"):
        assert (await site.client.get(f"/listen/{name}")).status == 404
    assert (await site.client.post("/listen")).status in (404, 405)
