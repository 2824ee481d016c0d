"""The page's server: who is let in, what is sent, and that no client holds anybody up."""

import http.client
import json
import re
import socket
import threading
from importlib.resources import files

import pytest

pytest.importorskip("scipy", reason="needs scipy")

from bacalhaunet.classify.live.web.server import CLIENTS, WAITING, Access, Client, Hub, WebServer, is_loopback
from bacalhaunet.errors import ConfigError
from tests.classify.live.browser import until
from tests.classify.live.web.pages import Made, served

FILES = ("/", "/live.css", "/live.js", "/stream.js", "/charts.js", "/waterfall.js")


@pytest.fixture
def server():
    with WebServer(Hub(), "127.0.0.1", 0, Access(None)) as made:
        yield made


def get(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = b"" if path == "/events" and answer.status == 200 else answer.read()
    return answer, body


def messages(answer, count):
    """The kinds and values of the first messages of a stream."""
    found = []
    while len(found) < count:
        line = answer.readline().decode()
        if line.startswith("event: "):
            found.append((line[7:-1], json.loads(answer.readline().decode().removeprefix("data: "))))
    return found


@pytest.mark.parametrize("path", FILES)
def test_every_file_comes_with_a_strict_policy(server, path):
    answer, body = get(server, path)
    assert answer.status == 200
    assert body
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_takes_nothing_from_elsewhere_and_has_nothing_inline():
    folder = files("bacalhaunet.classify.live.web") / "page"
    names = {entry.name for entry in folder.iterdir()}
    assert names == {path.strip("/") or "index.html" for path in FILES}
    for name in names:
        text = (folder / name).read_text()
        assert not re.search(r"https?:|//[a-z]+\.|@import|innerHTML|eval\(", text)
    page = (folder / "index.html").read_text()
    assert not re.search(r"<style|style=|\son[a-z]+=|<script(?![^>]*src=)", page)


@pytest.mark.parametrize("path", ["/nothing", "/../server.py", "/page/index.html", "/%2e%2e/server.py"])
def test_other_paths_are_not_there(server, path):
    assert get(server, path)[0].status == 404


def test_other_methods_are_refused(server):
    assert get(server, "/", "POST")[0].status == 501


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "192.168.1.4"])
def test_another_name_for_this_machine_is_refused(server, host):
    assert get(server, "/", Host=host)[0].status == 403
    assert get(server, "/events", Host=host)[0].status == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:99", "127.0.0.1", "[::1]:8073"])
def test_this_machine_may_use_its_own_names(server, host):
    assert get(server, "/", Host=host)[0].status == 200


def test_a_token_is_asked_for_kept_in_a_cookie_and_out_of_the_address():
    token = "a" * 16
    with WebServer(Hub(), "127.0.0.1", 0, Access.of("127.0.0.1", token)) as server:
        for path in ("/", "/events", "/live.js", "/?token=wrong", "/?token="):
            assert get(server, path)[0].status == 403
        assert get(server, "/", Cookie="bacalhaunet=wrong")[0].status == 403
        answer, _ = get(server, server.url.partition(str(server.port))[2], Host="radio.example")
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert get(server, "/", Host="radio.example", Cookie=cookie.partition(";")[0])[0].status == 200


def test_beyond_loopback_there_is_always_a_token():
    assert Access.of("127.0.0.1", None).token is None
    assert Access.of("::1", None).token is None
    one, other = Access.of("0.0.0.0", None).token, Access.of("::", None).token
    assert one != other
    assert len(one) >= 32
    for token in ("short", "with space and more words", "ünicode-and-more-letters"):
        with pytest.raises(ConfigError, match="token"):
            Access.of("0.0.0.0", token)
    assert not is_loopback("192.168.1.4")
    assert not is_loopback("example")


def test_an_address_that_cannot_be_used_is_said(server):
    with pytest.raises(ConfigError, match="cannot be served"):
        WebServer(Hub(), "127.0.0.1", server.port, Access(None))
    with pytest.raises(ConfigError, match="cannot be served"):
        WebServer(Hub(), "192.0.2.1", 0, Access(None))


def test_a_new_client_gets_what_it_must_know_and_then_what_comes():
    made = Made()
    made.hub.publish("row", {"number": 1}, keep=False)
    with served(made) as server:
        answer, _ = get(server, "/events")
        assert answer.headers["Content-Type"] == "text/event-stream"
        found = messages(answer, 40)
        assert found[0][0] == "hello"
        assert found[0][1]["rate"] == 1e6
        assert ("row", {"number": 1}) in found
        kinds = {kind for kind, _ in found}
        assert {"row", "signals", "status", "event"} <= kinds
        (signal, _) = next(values for kind, values in reversed(found) if kind == "signals")["active"]
        assert signal["label"] == "BPSK"
        assert signal["center"] == pytest.approx(100e6 - 0.256e6)
        answer.close()


def test_a_client_that_goes_away_is_forgotten():
    made = Made()
    with served(made) as server:
        answer, _ = get(server, "/events")
        messages(answer, 2)
        assert made.hub.clients == 1
        answer.close()
        until(lambda: made.hub.clients == 0)


def test_a_client_that_takes_nothing_holds_nobody_up():
    hub = Hub()
    with (
        WebServer(hub, "127.0.0.1", 0, Access(None)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as stalled,
    ):
        stalled.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: hub.clients == 1)
        text = "x" * 100_000
        for number in range(1000):  # 100 MB: far more than any buffer
            hub.publish("row", {"number": number, "text": text}, keep=False)
        hub.publish("status", {"last": True})
        answer, _ = get(server, "/events")
        assert messages(answer, 1) == [("status", {"last": True})]
        answer.close()
    for client in hub._clients:
        assert len(client._waiting) <= WAITING


def test_the_oldest_messages_of_a_slow_client_go():
    client = Client()
    for number in range(2 * WAITING):
        client.put(str(number).encode())
    waiting = client.get(0)
    assert len(waiting) == WAITING
    assert waiting[-1] == str(2 * WAITING - 1).encode()
    assert client.get(0.01) == []
    threading.Timer(0.05, client.put, [b"late"]).start()
    assert client.get(20) == [b"late"]


def test_there_are_not_any_number_of_clients(server):
    hub = server._shared.hub
    clients = [hub.join() for _ in range(CLIENTS)]
    assert all(clients)
    assert get(server, "/events")[0].status == 503
    hub.leave(clients[0])
    assert get(server, "/events")[0].status == 200
