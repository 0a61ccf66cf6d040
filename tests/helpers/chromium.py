"""Headless Chromium over its debugging pipe: no driver and no package between a test and the browser.

Commands and events are those of the DevTools protocol, JSON objects ended by a zero byte, on file descriptors 3 (in) and 4 (out).
"""

import base64
import itertools
import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60.0  # seconds for one answer


def find() -> str | None:
    """The browser that ``CHROMIUM`` names, or the first that is installed."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One page of a browser.

    Attributes:
        problems: What the console, the page's scripts and its security policy complained of.
        requests: Addresses of everything that was loaded or asked for.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers, self._ids, self._rest = commands, answers, itertools.count(1), b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(answers, selectors.EVENT_READ)
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command; events that come before it are noted."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        for answer in self._messages():
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
        raise AssertionError("the browser has gone")

    def open(self, path: Path) -> None:
        """Loads a file, and waits until it and its scripts are done."""
        self.send("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + PATIENCE
        while self.evaluate("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        said = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def look(self, width: int, height: int = 900, *, dark: bool = False, media: str = "screen") -> None:
        """The size of the window in CSS pixels, and what the reader prefers."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key, as the keyboard sends it."""
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text=text if kind == "keyDown" else "",
            )

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            while b"\0" in self._rest:
                message, _, self._rest = self._rest.partition(b"\0")
                answer = json.loads(message)
                self._note(answer.get("method", ""), answer.get("params", {}))
                yield answer
            assert self._selector.select(PATIENCE), "the browser does not answer"
            chunk = os.read(self._answers, 1 << 20)
            if not chunk:
                return
            self._rest += chunk

    def _note(self, method: str, said: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.problems.append(json.dumps(said))
        elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.problems.append(json.dumps(said["args"]))


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Page]:
    """A browser with one empty page; its process is ended afterwards."""
    to_browser, from_browser = os.pipe(), os.pipe()
    switches = [
        "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", f"--user-data-dir={profile}",
    ]  # fmt: skip

    def ends() -> None:  # in the child: the browser wants these two numbers, which may be taken
        for number, end in enumerate([fcntl(end, F_DUPFD, 10) for end in (to_browser[0], from_browser[1])], start=3):
            os.dup2(end, number)

    process = subprocess.Popen(
        [program, *switches], preexec_fn=ends, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        yield Page(to_browser[1], from_browser[0])
    finally:
        process.kill()
        process.wait()
        os.close(to_browser[1])
        os.close(from_browser[0])
