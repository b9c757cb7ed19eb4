"""Headless Chromium for tests of pages: what a reader's browser makes of them."""

from __future__ import annotations

import html as markup
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic", "--virtual-time-budget=8000"),
)
# Everything is opened, measured in the page's own coordinates, and told to whoever holds the frame.
MEASURING = r"""<script>
const errors = []; addEventListener("error", (e) => errors.push(e.message));
const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
const contrast = (one, two) => {
  const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const paint = rgb(getComputedStyle(node).backgroundColor);
    if (paint.length === 3 || paint[3] === 1) return paint;
  }
  return [255, 255, 255];
};
const pale = () => [...new Set([...document.body.querySelectorAll("*")].filter((node) => {
  const words = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  return words && node.getClientRects().length && !["SCRIPT", "STYLE"].includes(node.tagName);
}).map((node) => {
  const style = getComputedStyle(node), ink = node.ownerSVGElement ? style.fill : style.color;
  return contrast(rgb(ink), behind(node)) < 4.5 ? `${ink}: ${node.textContent.trim().slice(0, 30)}` : "";
}).filter(Boolean))];
const cut = (width) => [...document.body.querySelectorAll("*")].filter((node) => {
  const box = node.getBoundingClientRect();
  if (!box.width || node.closest(".scroll svg, .key svg") || node.ownerSVGElement) return false;
  const hidden = getComputedStyle(node).overflowX === "hidden" && node.scrollWidth > node.clientWidth + 1;
  return hidden || (!node.closest(".scroll") && (box.left < -1 || box.right > width + 1));
}).map((node) => `${node.tagName}: ${node.textContent.trim().slice(0, 30)}`);
const drawn = (width) => {
  const overlaps = [], outside = [];
  for (const svg of document.querySelectorAll("figure svg")) {
    const texts = [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim());
    const boxes = texts.map((t) => [t.textContent.trim(), t.getBoundingClientRect()]);
    const name = (svg.getAttribute("aria-label") || "").slice(0, 40);
    for (const [text, b] of boxes) if (b.left < -1 || b.right > width + 1) outside.push(text);
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
      const [a, b] = [boxes[i][1], boxes[j][1]];
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      // A line's box is higher than its letters by about a third.
      if (x > 2 && y > 0.35 * Math.min(a.height, b.height)) {
        overlaps.push(name + ": " + boxes[i][0] + " / " + boxes[j][0]);
      }
    }
  }
  return {overlaps, outside};
};
const sorted = (table) => {
  const heads = [...table.tHead.rows[0].cells], orders = [];
  const column = heads.findIndex((c) => c.classList.contains("num"));
  const button = heads[column].querySelector("button");
  for (let click = 0; click < 4; click++) {
    const told = [...table.tBodies].map((body) => [...body.rows].map((row) =>
      row.classList.contains("group") ? "group" : row.cells[column].dataset.sort ?? row.cells[column].textContent));
    orders.push({said: heads[column].getAttribute("aria-sort"), rows: told});
    button.focus();
    const missed = button.getClientRects().length && document.activeElement !== button;
    if (missed) errors.push("a head cannot be reached by the keyboard");
    button.click();
  }
  return orders;
};
addEventListener("load", () => {
  for (const d of document.querySelectorAll("details")) d.open = true;
  const width = document.documentElement.clientWidth;
  const told = {width: innerWidth, needed: document.documentElement.scrollWidth, ...drawn(width), cut: cut(width),
    pale: pale(), orders: [...document.querySelectorAll("table.sortable")]
      .filter((table) => table.querySelector("thead .num")).map(sorted), errors};
  parent.postMessage(JSON.stringify(told), "*");
});
</script></body>"""


def needs_browser() -> None:
    """Skip where there is no Chromium; in CI there must be one."""
    if CHROMIUM:
        return
    if os.environ.get("CI"):
        pytest.fail("chromium must be there in CI, found none; .ci/run installs it")
    pytest.skip("chromium is not on PATH")


def dumped(page: Path, profile: Path) -> tuple[str, str]:
    """The document as the browser leaves it, and what its console says."""
    command = [CHROMIUM, *OPTIONS, "--enable-logging=stderr", f"--user-data-dir={profile}", "--window-size=1400,1000"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def measured(page: str, widths: Sequence[int], folder: Path) -> dict[int, dict[str, Any]]:
    """What a page is on screens of some widths: in frames, since a headless window is at least 500 pixels wide.

    width, needed: of the window and of the document, in pixels. overlaps, outside: texts of figures that lie on one
    another, or beyond the screen. cut: elements that a reader cannot see all of. pale: texts with a contrast below 4.5.
    orders: by sortable table, the first column of numbers before and after each of three clicks on its head.
    """
    opened = re.sub(r"<meta http-equiv[^>]*>", "", page).replace("</body>", MEASURING)
    (folder / "page.html").write_text(opened)
    frames = "".join(
        f'<iframe src="page.html" style="border:0;width:{width}px;height:900px"></iframe>' for width in widths
    )
    listening = "<script>onmessage = (told) => { document.querySelector('pre').append(told.data + '\\n') }</script>"
    (folder / "frame.html").write_text(f"<!DOCTYPE html><title>frame</title><pre></pre>{listening}{frames}")
    dom, _ = dumped(folder / "frame.html", folder / "profile")
    told = re.search(r"<pre>(.+?)</pre>", dom, re.DOTALL)
    assert told is not None, "the page told nothing"
    found = [json.loads(line) for line in markup.unescape(told[1]).strip().splitlines()]
    return {screen["width"]: screen for screen in found}
