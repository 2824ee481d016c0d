"""The page in headless Chromium: it loads, draws, goes on, survives a lost connection and fits a phone."""

import time

import pytest

pytest.importorskip("scipy", reason="needs scipy")

from tests.classify.live.browser import Browser, needs_chromium, until
from tests.classify.live.web.pages import Made, served

pytestmark = needs_chromium

COLORS = """
const canvas = document.getElementById(arguments[0]);
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
const seen = new Set();
for (let place = 0; place < data.length; place += 4) seen.add(data.slice(place, place + 4).join());
return seen.size;
"""
RIGHTS = """
const parts = document.querySelectorAll("section, canvas, button, dl div");
return [...parts].map((part) => part.getBoundingClientRect().right);
"""
PICTURE = "return document.getElementById(arguments[0]).toDataURL()"


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture
def made():
    return Made()


def opened(browser, server):
    browser.open(server.url)
    until(lambda: browser.script("return document.querySelectorAll('#signals li').length") == 2)
    until(lambda: browser.script(COLORS, "waterfall") > 50)
    return browser


def test_it_loads_and_draws_without_an_error(browser, made):
    with served(made) as server:
        opened(browser, server)
        assert browser.script(COLORS, "constellation") > 3
        assert browser.script(COLORS, "timeline") > 3
        assert browser.text("link") == "live"
        assert "zmq://made:1" in browser.text("source")
        until(lambda: browser.text("rate") == "1.000 MS/s")
        assert browser.text("dropped") == "0"
        assert "99.744 MHz" in browser.text("signals")
        assert browser.errors() == []


def test_it_goes_on_with_the_stream(browser, made):
    with served(made) as server:
        opened(browser, server)
        before = browser.script(PICTURE, "waterfall")
        until(lambda: browser.script(PICTURE, "waterfall") != before)


def test_a_signal_is_selected_by_its_line_and_by_its_box(browser, made):
    with served(made) as server:
        opened(browser, server)
        browser.script("document.querySelectorAll('#signals button')[1].click()")
        until(lambda: "QPSK" in browser.text("selected"))
        pressed = "return [...document.querySelectorAll('#signals button')].map(one => one.ariaPressed)"
        assert browser.script(pressed) == ["false", "true"]
        browser.script(
            "const canvas = document.getElementById('waterfall'), box = canvas.getBoundingClientRect();"
            "const event = {clientX: box.left + 0.244 * box.width, clientY: box.top + 12, bubbles: true};"
            "canvas.dispatchEvent(new MouseEvent('click', event))"
        )
        until(lambda: "BPSK" in browser.text("selected"))


def test_a_lost_connection_is_said_and_made_again(browser, made):
    with served(made) as server:
        opened(browser, server)
        port = server.port
    until(lambda: "lost" in browser.text("link"))
    with served(made, port):
        until(lambda: browser.text("link") == "live")
        before = browser.script(PICTURE, "waterfall")
        until(lambda: browser.script(PICTURE, "waterfall") != before)


def test_it_fits_a_phone_in_light_and_dark(browser, made):
    with served(made) as server:
        browser.phone()
        opened(browser, server)
        time.sleep(0.3)
        assert browser.script("return innerWidth") == 390
        assert browser.script("return document.documentElement.scrollWidth") <= 390
        assert max(browser.script(RIGHTS)) <= 390
        color = "return getComputedStyle(document.body).backgroundColor"
        light = browser.script(color)
        browser.dark()
        assert browser.script(color) != light
        assert browser.script(COLORS, "waterfall") > 50
        assert browser.errors() == []
