"""Work in a page as a reader does: keys, clicks and downloads in headless Chromium.

By the DevTools protocol over two pipes, which needs no library.
"""

import base64
import fcntl
import json
import os
import subprocess
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from tests.report.browser import CHROMIUM, FLAGS

CODES = {"ArrowRight": 39, "ArrowLeft": 37, "Escape": 27, "Enter": 13, "Tab": 9}
PATIENCE_S = 60


class Page:
    """A page in a browser of its own, whose storage lasts as long as it is open.

    Parameters
    ----------
    path : of the page
    width, height : of the window in px

    Attributes
    ----------
    problems : errors of the console, and exceptions that no script has caught
    """

    def __init__(self, path, width: int = 1300, height: int = 900):
        self.path, self.size, self.problems = Path(path), (width, height), []

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        theirs_in, self.out = os.pipe()
        self.read_from, theirs_out = os.pipe()
        # Chromium reads from 3 and writes to 4, which must be free for it.
        theirs = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in (theirs_in, theirs_out)]
        command = [CHROMIUM, *FLAGS, "--remote-debugging-pipe"]
        command.append(f"--user-data-dir={self.folder.name}/profile")
        self.process = subprocess.Popen(
            ["bash", "-c", 'exec "$@" 3<&{} 4>&{}'.format(*theirs), "bash", *command],
            pass_fds=theirs,
            stderr=subprocess.DEVNULL,
        )
        for one in (theirs_in, theirs_out, *theirs):
            os.close(one)
        self.read, self.number, self.session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*self.size)
        self.load()
        return self

    def __exit__(self, *_):
        self.session = None
        self.call("Browser.close")
        self.process.wait(PATIENCE_S)
        os.close(self.out)
        os.close(self.read_from)
        self.folder.cleanup()

    def call(self, method: str, **params):
        """Result of a command of the protocol."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self) -> dict:
        while b"\0" not in self.read:
            new = os.read(self.read_from, 1 << 20)
            assert new, "the browser has ended"
            self.read += new
        message, self.read = self.read.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.problems.append(str(told["exceptionDetails"]))
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.problems.append(told["entry"]["text"])
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning"):
                self.problems.append(str(told["args"]))

    def load(self) -> None:
        """Open the page, or open it again."""
        self.call("Page.navigate", url=self.path.as_uri())
        self.wait("document.readyState == 'complete' && location.protocol == 'file:'")

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def evaluate(self, expression: str):
        """Value of an expression of JavaScript."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str):
        """Wait until an expression is true; its value."""
        until = time.monotonic() + PATIENCE_S
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < until, f"{expression}: is not true"
            time.sleep(0.05)
        return value

    def press(self, *keys: str) -> None:
        """Press keys one after the other: characters, or names as in `CODES`."""
        for key in keys:
            code = CODES.get(key, ord(key[0].upper()))
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            both = {"key": key, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown", **both, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", **both)

    def write(self, text: str) -> None:
        """Type a text where the cursor is."""
        self.press(*text)

    def download(self, selector: str, name: str) -> str:
        """Click a button; content of the file that it downloads."""
        folder = Path(self.folder.name)
        session, self.session = self.session, None
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self.session = session
        self.evaluate(f"document.querySelector('{selector}').click()")
        until = time.monotonic() + PATIENCE_S
        while not (folder / name).is_file():
            assert time.monotonic() < until, f"{name}: was not downloaded"
            time.sleep(0.05)
        return (folder / name).read_text(encoding="utf-8")

    def barriers(self, contrast: bool = True) -> list[str]:
        """What keeps people out of the page with everything unfolded, drawings apart, by axe-core.

        Parameters
        ----------
        contrast : whether contrast is judged too, which takes a minute of a page of many tables
        """
        self.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        self.evaluate(files("axe_core_python").joinpath("axe.min.js").read_text() + ";0")
        rules = {key: {"enabled": contrast} for key in ("link-in-text-block", "color-contrast")}
        options = json.dumps({"resultTypes": ["violations"], "rules": rules})
        # After a moment, in which frames that scroll by now come to know it.
        self.evaluate(
            "setTimeout(() => axe.run({exclude: ['svg']}, "
            + options
            + """).then(
                found => { window.axeFound = found.violations.flatMap(rule => rule.nodes.map(
                    node => `${rule.id}: ${node.html.slice(0, 200)}`)) },
                error => { window.axeFound = [String(error)] }), 500); 0"""
        )
        self.wait("Boolean(window.axeFound)")
        return self.evaluate("window.axeFound")

    def picture(self, path, selector: str | None = None) -> None:
        """Screenshot of the window, from an element on."""
        if selector:
            self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView()")
        data = self.call("Page.captureScreenshot", format="png")["data"]
        Path(path).write_bytes(base64.b64decode(data))
