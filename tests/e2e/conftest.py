"""A real browser for the page's tests: headless Chromium, driven over its DevTools socket.

Pages are opened on loopback only; whatever the browser logs as an error is kept and can be asserted on.
"""

import asyncio
import base64
import itertools
import json
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from liqheat.local.child import ChildProcess

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Page:
    """One tab: go somewhere, evaluate JavaScript, press, look."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        """What the browser complained about: exceptions, refused loads, errors that scripts logged."""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a DevTools command and return its result, noting errors that are reported meanwhile."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=30)).data)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif message.get("method") == "Runtime.consoleAPICalled" and parameters["type"] == "error":
            self.errors.append(str([argument.get("value") for argument in parameters["args"]]))

    async def open(self, url: str, *, width: int = 1600, height: int = 980, dark: bool = True) -> None:
        """Go to `url` in a window of that size."""
        mobile = width < 600
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=url)

    async def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def eventually(self, script: str, patience: float = 30.0) -> Any:
        """Poll a JavaScript expression until it is truthy; return its value."""
        deadline = time.monotonic() + patience
        while True:
            answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
            value = answer["result"].get("value")
            if value and "exceptionDetails" not in answer:
                return value
            assert time.monotonic() < deadline, f"never true: {script}; the page says {await self.text('body')!r}"
            await asyncio.sleep(0.1)

    async def text(self, selector: str) -> str:
        """Return the text that the elements of `selector` hold, hidden text included."""
        return str(
            await self.evaluate(
                f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent).join(' | ')"
            )
        )

    async def press(self, selector: str) -> None:
        """Click an element."""
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def point(self, x: float, y: float) -> None:
        """Move the mouse pointer there."""
        for offset in (2, 0):
            await self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + offset, y=y)

    async def screenshot(self) -> bytes:
        """Return a PNG of what is in the window."""
        picture = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(picture["data"])


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """A tab of a headless Chromium with a fresh profile; skipped where there is none."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    profile = tmp_path / "chromium"
    command = [chromium, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with ChildProcess("chromium", command, tmp_path / "chromium.log") as browser:
        address = _devtools_address(profile / "DevToolsActivePort", browser)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as answer:
                targets = await answer.json()
            socket_url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
            async with session.ws_connect(socket_url, max_msg_size=0) as socket:
                tab = Page(socket)
                for domain in ("Page", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                yield tab


def _devtools_address(port_file: Path, browser: ChildProcess) -> str:
    deadline = time.monotonic() + 30
    while not (port_file.exists() and port_file.read_text().strip()):
        assert browser.exit_status is None, browser.last_words()
        assert time.monotonic() < deadline, browser.last_words()
        time.sleep(0.05)
    return f"127.0.0.1:{port_file.read_text().splitlines()[0]}"
