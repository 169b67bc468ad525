"""A real browser for tests: headless Chromium, driven over a pipe, nothing but the standard library.

Each `Profile` has a store of its own (another person's computer); tabs of one profile share it (two windows).
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_KEYS = {
    "Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "Backspace": (8, ""), "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""), "ArrowRight": (39, ""), "ArrowDown": (40, ""), "PageDown": (34, ""), "Home": (36, ""),
}  # fmt: skip
SHIFT, CONTROL = 8, 2


class Browser:
    """One Chromium process. `call` sends a command and waits for its answer."""

    def __init__(self, program: str, home: Path, *more: str):
        down, self._up = os.pipe()
        self._down, up = os.pipe()

        def wire():
            # dup2 onto itself would keep the close-on-exec mark, so both go through free numbers first.
            high = [os.dup(down), os.dup(up)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            [
                program, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu",
                "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync",
                "--disable-component-update", "--disable-dev-shm-usage", f"--user-data-dir={home}", *more,
                "about:blank",
            ],
            preexec_fn=wire, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(down)
        os.close(up)
        self.pid = self._process.pid
        self._rest = b""
        self._number = 0
        self.events: list[dict] = []

    def call(self, method: str, session: str | None = None, **params) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._up, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._down], [], [], 120)
            if not ready:
                raise RuntimeError("the browser has not answered for two minutes")
            part = os.read(self._down, 1 << 20)
            if not part:
                raise RuntimeError("the browser is gone")
            self._rest += part
        line, self._rest = self._rest.split(b"\0", 1)
        return json.loads(line)

    def profile(self) -> "Profile":
        return Profile(self, self.call("Target.createBrowserContext")["browserContextId"])

    def close(self) -> None:
        with contextlib.suppress(RuntimeError, OSError):
            self.call("Browser.close")
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._up)
        os.close(self._down)


class Profile:
    def __init__(self, browser: Browser, context: str):
        self.browser, self.context = browser, context

    def open(self, url: str, width: int = 1366, height: int = 768) -> "Tab":
        return Tab(self, url, width, height)

    def downloads(self, folder: Path) -> None:
        self.browser.call(
            "Browser.setDownloadBehavior", behavior="allow", browserContextId=self.context, downloadPath=str(folder)
        )

    def close(self) -> None:
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)


class Tab:
    """A page. `js` evaluates an expression there (promises are awaited)."""

    def __init__(self, profile: Profile, url: str, width: int, height: int):
        self.browser = profile.browser
        self.target = self.browser.call(
            "Target.createTarget", url="about:blank", browserContextId=profile.context, newWindow=True
        )["targetId"]
        self.session = self.browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)  # as if every tab were in front
        self.go(url)

    def call(self, method: str, **params) -> dict:
        return self.browser.call(method, self.session, **params)

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def reload(self) -> None:
        self.js("window.beforeReload = true")
        self.call("Page.reload")
        self.wait("!window.beforeReload && document.readyState === 'complete'")

    def js(self, expression: str):
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            detail = found["exceptionDetails"]
            raise RuntimeError(detail.get("exception", {}).get("description") or detail["text"])
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 60):
        """Until the expression is true; returns its value."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.js(expression)
            except RuntimeError as error:  # the page is being changed for another
                value, why = None, str(error)
            else:
                why = "it is not"
            if value:
                return value
            if time.monotonic() > end:
                text = self.js("document.body.innerText")
                raise AssertionError(f"after {seconds} s not true: {expression} ({why}); the page says:\n{text}")
            time.sleep(0.05)

    def key(self, key: str, modifiers: int = 0) -> None:
        code, text = _KEYS.get(key, (ord(key.upper()) if len(key) == 1 else 0, key if len(key) == 1 else ""))
        name = f"Digit{key}" if key.isdigit() else f"Key{key.upper()}" if key.isalpha() and len(key) == 1 else key
        common = {"key": key, "code": name, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", text="" if modifiers == CONTROL else text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.key(key)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Left, top, width, height of an element on the page."""
        return tuple(
            self.js(
                f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                " return [b.left, b.top, b.width, b.height]; })()"
            )
        )

    def click(self, selector: str) -> None:
        left, top, width, height = self.box(selector)
        self.mouse("mousePressed", left + width / 2, top + height / 2, button="left", clickCount=1)
        self.mouse("mouseReleased", left + width / 2, top + height / 2, button="left", clickCount=1)

    def mouse(self, kind: str, x: float, y: float, **more) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def files(self, selector: str, *paths: Path) -> None:
        """Choose files in a file field."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def scheme(self, name: str) -> None:
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, path: Path) -> None:
        data = self.call("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def complaints(self) -> list[str]:
        """Errors that the page raised or logged so far."""
        self.js("0")
        out = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                out.append(details.get("exception", {}).get("description", details["text"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                out.append(event["params"]["entry"]["text"])
        return out

    def asked(self, ready: str) -> list[str]:
        """Addresses that the page asks for when it is loaded again, until `ready` is true."""
        self.call("Network.enable")
        self.reload()
        self.wait(ready)
        mine = (e for e in self.browser.events if e.get("sessionId") == self.session)
        return [e["params"]["request"]["url"] for e in mine if e["method"] == "Network.requestWillBeSent"]

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)


def find_browser() -> str:
    """Path of a Chromium; skips the test where there is none."""
    program = os.environ.get("KNEELINE_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium, or set KNEELINE_BROWSER)")
    return program


POOR_CONTRAST = """(() => {
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const parts = (text) => {
    const v = text.match(/[\\d.]+/g).map(Number);
    return [...v.slice(0, 3).map((x) => text.startsWith("color(") ? x * 255 : x), v[3] ?? 1];
  };
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      layers.unshift(parts(getComputedStyle(e).backgroundColor));
      if (layers[0][3] === 1) break;
    }
    return layers.reduce((under, c) => under.map((u, i) => u * (1 - c[3]) + c[i] * c[3]), [255, 255, 255]);
  };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const seen = (e) => own(e) && e.getClientRects().length && !e.disabled && !e.closest("dialog:not([open]), option");
  return [...document.querySelectorAll("body *:not(script)")].filter(seen).map((e) => {
    const ink = light(parts(getComputedStyle(e).color)), back = light(behind(e));
    return [(Math.max(ink, back) + .05) / (Math.min(ink, back) + .05), e.id, e.textContent.trim().slice(0, 30)];
  }).filter(([ratio]) => ratio < 4.5);
})()"""


def poor_contrast(tab: Tab) -> list:
    """Texts with less than 4.5 to 1 against what is behind them (WCAG 2.1): ratio, id, text."""
    return tab.js(POOR_CONTRAST)


def nameless(tab: Tab) -> list[str]:
    """Roles of controls to which the browser itself can give no name: a screen reader says nothing of them."""
    roles = {"button", "link", "checkbox", "slider", "combobox", "searchbox", "textbox", "img", "image", "dialog"}
    tab.call("Accessibility.enable")
    return [
        node["role"]["value"]
        for node in tab.call("Accessibility.getFullAXTree")["nodes"]
        if not node.get("ignored")
        and node.get("role", {}).get("value") in roles
        and not node.get("name", {}).get("value", "").strip()
    ]
