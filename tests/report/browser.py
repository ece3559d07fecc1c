"""Open a report in headless Chromium and list what is wrong with it."""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from html import unescape
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
    "--v=0",
    "--window-size=1300,900",
]
# Stands first in the page, so that the page's own policy against scripts does not stop it.
PROBE = r"""<script>
const blank = image => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, 64, 64);
  const pixels = context.getImageData(0, 0, 64, 64).data;
  return pixels.every((value, i) => i % 4 == 3 || value == pixels[i % 4]);
};
addEventListener("load", () => {
  const problems = [], seen = new Set();
  document.querySelectorAll("details").forEach(d => d.open = true);
  for (const e of document.querySelectorAll("[id]")) {
    if (seen.has(e.id)) problems.push(`id ${e.id} stands twice`);
    seen.add(e.id);
  }
  for (const e of document.querySelectorAll("img, svg")) {
    const name = e.id || e.outerHTML.slice(0, 80), box = e.getBoundingClientRect();
    if (!e.id) problems.push(`${name}: no id`);
    if (!(e.getAttribute("alt") || e.getAttribute("aria-label"))) problems.push(`${name}: no alt`);
    if (e.localName == "img" && (!e.naturalWidth || blank(e)))
      problems.push(`${name}: did not decode`);
    if (e.localName == "svg" && !e.querySelector("path, rect, text"))
      problems.push(`${name}: is empty`);
    if (box.width < 20 || box.height < 20) problems.push(`${name}: has no size`);
  }
  for (const e of document.querySelectorAll("a[href^='#']"))
    if (!seen.has(decodeURIComponent(e.hash.slice(1))))
      problems.push(`link to ${e.hash}, which is not there`);
  for (const e of document.querySelectorAll("[src], link[href], a[href]")) {
    const target = e.getAttribute("src") || e.getAttribute("href");
    if (!/^(data:|#|([.][.][/])?\w[\w.+/%-]*[.](tsv|html|bib)$)/.test(target))
      problems.push(`reaches outside: ${target.slice(0, 80)}`);
  }
  const page = document.documentElement, excess = page.scrollWidth - page.clientWidth;
  if (excess > 0) problems.push(`the page is ${excess} px wider than the window`);
  document.documentElement.dataset.found = JSON.stringify({problems, ids: [...seen]});
});
</script>"""


def check_page(path, expected: Iterable[str] = ()) -> list[str]:
    """Problems of a page, empty for a good one.

    Console errors; images that do not decode, empty or invisible drawings; pictures
    without id or text; ids given twice; links into the page that lead nowhere;
    anything loaded from outside, and links to anything but a table or page beside it; a page wider
    than a window of 1300 px; ids of ``expected`` that are not there.
    """
    page = Path(path).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        copy.write_text(page.replace("<head>", "<head>" + PROBE, 1), encoding="utf-8")
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}/profile"]
        command += ["--dump-dom", copy.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    problems = [
        f"console: {line}" for line in re.findall(r":CONSOLE[:(][^\]]*\] (.*)", done.stderr)
    ]
    found = re.search(r'data-found="([^"]*)"', done.stdout)
    if not found:
        return [*problems, f"the page did not load: {done.stderr[-500:]}"]
    answer = json.loads(unescape(found.group(1)))
    absent = [f"{name}: is not there" for name in expected if name not in answer["ids"]]
    return problems + answer["problems"] + absent
