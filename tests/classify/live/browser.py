"""Headless Chromium, driven over WebDriver's HTTP by the standard library (Debian: chromium, chromium-driver)."""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)

needs_chromium = pytest.mark.skipif(
    shutil.which("chromedriver") is None or shutil.which("chromium") is None,
    reason="Chromium is missing (Debian packages chromium and chromium-driver)",
)


class Browser:
    """A browser with one window; a context manager."""

    def __init__(self, width=1280, height=900):
        self._size = f"--window-size={width},{height}"

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        options = {
            "goog:chromeOptions": {"args": [*FLAGS, self._size, f"--user-data-dir={self._profile.name}"]},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._session = ""
        try:
            until(self._ready, 60)
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": options}})
            self._session = f"/session/{made['sessionId']}"
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_):
        if self._session:
            self._call("DELETE", self._session)
        self._close()

    def open(self, url):
        self._call("POST", f"{self._session}/url", {"url": url})

    def script(self, text, *arguments):
        """The value that a script returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": text, "args": list(arguments)})

    def text(self, name):
        return self.script("return document.getElementById(arguments[0]).textContent", name)

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def phone(self, width=390, height=844):
        """Become a phone's screen."""
        size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
        self._devtools("Emulation.setDeviceMetricsOverride", size)

    def dark(self):
        """Prefer dark colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def errors(self):
        """Errors on the console since the last call, the content security policy's included."""
        log = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def _devtools(self, command, values):
        self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": values})

    def _ready(self):
        try:
            return self._call("GET", "/status")["ready"]
        except OSError:
            return False

    def _call(self, method, path, values=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            None if values is None else json.dumps(values).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:500]) from error

    def _close(self):
        self._driver.terminate()
        self._driver.wait()
        self._profile.cleanup()


def until(there, seconds=180, step=0.1):
    """Wait until ``there()`` is true, and return its value."""
    end = time.monotonic() + seconds
    while not (value := there()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(step)
    return value
