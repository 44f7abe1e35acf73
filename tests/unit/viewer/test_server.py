"""The viewer over HTTP: who gets in, and what each answer brings."""

import asyncio
import io
import json
import socket
from pathlib import Path

import pytest
from aiohttp import hdrs
from support.viewing import HOSTILE, Asking, opened

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.page.web import LIVE_SCRIPTS, STYLES
from batchgen.viewer import Viewer

DATA = ["/api/overview", "/api/tiles", "/api/items/1", "/api/events", "/page/styles/base.css", "/files/mug@1.png"]


async def test_the_token_is_exchanged_for_a_cookie(viewer: Viewer, stranger: Asking) -> None:
    token = viewer.address.partition("=")[2]
    answer = await stranger(f"/?token={token}")
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"batchgen-{viewer.url.rpartition(':')[2].strip('/')}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert token not in cookie
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert (await stranger("/")).status == 200


async def test_an_address_for_once_opens_it_once(viewer: Viewer, stranger: Asking) -> None:
    path = "/" + viewer.address_for_once().removeprefix(viewer.url)
    assert (await stranger(path)).status == 303
    assert (await stranger(path)).status == 401


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=x", *DATA, "/nothing"])
async def test_without_the_cookie_nothing_is_told(stranger: Asking, path: str) -> None:
    answer = await stranger(path)
    assert answer.status == 401
    assert b"spring" not in answer.body
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/api/picks", "/api/picks/all"])
async def test_without_the_cookie_nothing_is_written(run: Path, stranger: Asking, path: str) -> None:
    assert (await stranger.post(path, {"picks": []})).status == 401
    assert not (run / "picks.jsonl").exists()


async def test_another_name_is_refused_before_anything_else(ask: Asking, viewer: Viewer) -> None:
    for path in ("/", f"/{viewer.address.removeprefix(viewer.url)}", *DATA):
        assert (await ask(path, headers={"Host": "evil.example"})).status == 421


async def test_another_origin_is_refused(ask: Asking) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert [(await ask(path, headers=headers)).status for path in DATA] == [403] * len(DATA)
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert (await ask.post("/api/picks", {"picks": []}, Origin=origin)).status == 403
    assert (await ask("/api/picks", "POST", json={"picks": []})).status == 403
    assert (await ask.post("/api/picks", {"picks": []})).status == 200


async def test_every_answer_is_strict(ask: Asking, stranger: Asking) -> None:
    answers = [await ask(path) for path in ("/", "/api/overview", "/api/tiles", "/nothing", "/files/mug@1.png")]
    answers += [await stranger("/"), await ask("/api/picks")]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        policy = answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert policy.startswith(("default-src 'none'; script-src 'self';", "sandbox;"))
        assert "unsafe" not in policy
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store", "private, no-cache"}


async def test_the_page_and_all_that_it_names_are_served(ask: Asking) -> None:
    page = await ask("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<title>spring</title>" in page.body
    for name in (*STYLES, *LIVE_SCRIPTS):
        assert f'"/page/{name}"'.encode() in page.body
        answer = await ask(f"/page/{name}")
        kind = "text/javascript" if name.endswith(".js") else "text/css"
        assert (answer.status, answer.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")


@pytest.mark.parametrize(
    "path",
    ["/page/page.html", "/page/__init__.py", "/page/../page.html", "/page/..%2f__init__.py", "/page/%2fetc%2fpasswd"],
)
async def test_nothing_else_is_an_asset(ask: Asking, path: str) -> None:
    assert (await ask(path)).status == 404


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/", "POST", "GET,HEAD"), ("/api/overview", "DELETE", "GET,HEAD"), ("/api/picks", "GET", "POST"),
        ("/api/picks", "OPTIONS", "POST"), ("/files/mug@1.png", "PUT", "GET,HEAD"),
    ],
)  # fmt: skip
async def test_other_methods_are_refused(ask: Asking, path: str, method: str, allow: str) -> None:
    answer = await ask(path, method, headers={"Origin": ask.root})
    assert (answer.status, answer.headers["Allow"]) == (405, allow)


async def test_what_the_run_is(ask: Asking) -> None:
    overview = (await ask("/api/overview")).values
    assert (overview["run"], overview["items"], overview["outputs"]) == ("spring", 4, 4)
    tiles = await ask.tiles()
    assert list(tiles) == ["mug@1", "mug@2", "mug@3", "vase@1", "bowl@0", "jug@0"]
    assert tiles["vase@1"]["prompt"] == HOSTILE
    detail = (await ask(f"/api/items/{tiles['mug@1']['key']}")).values
    assert [output["file"] for output in detail["outputs"]] == ["files/mug@1.png", "files/mug@2.png", "files/mug@3.png"]
    assert (await ask("/api/items/999")).status == 404


async def test_filters_and_pages(ask: Asking) -> None:
    assert list(await ask.tiles("&state=done&text=mug")) == ["mug@1", "mug@2", "mug@3"]
    assert list(await ask.tiles("&tag=client%3Dzenith&tag=client%3Dacme&pick=none")) == [
        "mug@1", "mug@2", "mug@3", "vase@1",
    ]  # fmt: skip
    page = (await ask("/api/tiles?offset=3&limit=2")).values
    assert (page["total"], page["offset"], [tile["id"] for tile in page["tiles"]]) == (6, 3, ["vase", "bowl"])


async def test_the_tiles_around_an_item(ask: Asking) -> None:
    key = (await ask.tiles())["vase@1"]["key"]
    page = (await ask(f"/api/tiles?limit=2&around={key}")).values
    assert (page["offset"], [tile["id"] for tile in page["tiles"]]) == (2, ["mug", "vase"])


@pytest.mark.parametrize(
    "query", ["limit=501", "limit=-1", "limit=x", "offset=1e3", "offset=%D9%A3", "around=", "rating=9", "state=nice"]
)
async def test_questions_that_make_no_sense_are_refused_in_a_sentence(ask: Asking, query: str) -> None:
    answer = await ask(f"/api/tiles?{query}")
    assert answer.status == 400
    assert "expected" in answer.values["error"]


async def test_a_body_that_is_too_large_is_refused(run: Path, ask: Asking) -> None:
    large = io.BytesIO(b'{"picks": [], "more": "' + b"x" * 5_000_000 + b'"}')
    headers = {"Origin": ask.root, hdrs.CONTENT_TYPE: "application/json"}
    answer = await ask("/api/picks", "POST", data=large, headers=headers)
    assert answer.status == 413
    answer = await ask("/api/picks", "POST", data=b"{}", headers={"Origin": ask.root, hdrs.CONTENT_TYPE: "text/plain"})
    assert answer.status == 415
    assert not (run / "picks.jsonl").exists()


async def test_a_folder_that_goes_away_is_told_and_found_again(run: Path, ask: Asking) -> None:
    away = run.with_name("away")
    run.rename(away)
    answer = await ask("/api/overview")
    assert answer.status == 503
    assert "is not there any more" in answer.values["error"]
    away.rename(run)
    assert (await ask("/api/overview")).status == 200


async def test_a_journal_that_was_replaced_is_read_in_its_stead(run: Path, ask: Asking) -> None:
    from support.bought import item, journal_of

    assert (await ask("/api/overview")).values["items"] == 4
    with journal_of(run.with_name("other"), [item("one")]):
        pass
    (run.with_name("other") / "journal.sqlite3").replace(run / "journal.sqlite3")
    assert (await ask("/api/overview")).values["items"] == 1


async def test_a_damaged_journal_is_told(run: Path, ask: Asking) -> None:
    (run / "journal.sqlite3").unlink()
    (run / "journal.sqlite3").write_bytes(b"not a journal" * 1000)
    answer = await ask("/api/tiles")
    assert answer.status == 503
    assert "is damaged" in answer.values["error"]


async def test_a_port_that_is_taken_is_told(run: Path, viewer: Viewer) -> None:
    port = int(viewer.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(UsageError, match=f"port {port} is taken"):
        async with Viewer(run, port=port):
            pass


async def test_a_host_that_is_not_here_is_told(run: Path) -> None:
    with pytest.raises(UsageError, match="cannot open port"):
        async with Viewer(run, host="192.0.2.1", port=0):
            pass


async def test_the_usual_port_may_be_taken(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr("batchgen.viewer.server.USUAL_PORT", other.getsockname()[1])
        async with Viewer(run) as viewer, opened(viewer) as ask:
            assert (await ask("/api/overview")).status == 200


async def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError):
        async with Viewer(tmp_path, port=0):
            pass


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET /api/tiles?offset=\xd9\xa3 HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_request_is_refused_and_fills_no_log(
    viewer: Viewer, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(viewer.url.rstrip("/").rpartition(":")[2]))
    writer.write(sent)
    assert (await reader.readline()).startswith(b"HTTP/1.0 400")
    writer.close()
    await writer.wait_closed()
    assert caplog.records == []


async def test_a_bug_is_in_the_log(
    ask: Asking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("batchgen.viewer.server.live_page", None)
    assert (await ask("/")).status == 500
    assert "TypeError" in caplog.text


async def test_no_answer_names_the_folder_s_place(run: Path, ask: Asking) -> None:
    texts = [(await ask(path)).body for path in ("/", "/api/tiles", "/api/items/1")]
    assert str(run.parent).encode() not in b"".join(texts)
    assert json.loads(texts[1])["total"] == 6
