"""Tables that are sorted by a click, or by the keyboard, on a column's head: the page's only script.

Allowed by its hash in the page's content-security policy; without scripts the page reads the same, unsorted.
"""

from __future__ import annotations

import base64
import hashlib

# Buttons are made here, so that a page without scripts has none that do nothing. A third click restores the order
# of the page. Rows stay within their groups. Columns of numbers go by data-sort, or by the number that a cell begins
# with; what has no number comes last either way.
SCRIPT = """\
for (const table of document.querySelectorAll("table.sortable")) {
  const bodies = [...table.tBodies].map((body) => [body, [...body.rows]]);
  const heads = [...table.tHead.rows[0].cells].filter((head) => head.textContent.trim());
  const key = (row, head) => {
    const cell = row.cells[head.cellIndex];
    const told = cell ? cell.dataset.sort ?? cell.textContent.trim() : "";
    if (!head.classList.contains("num")) return told || null;
    const number = parseFloat(told.replaceAll(",", "").replace("\\u2212", "-"));
    return Number.isNaN(number) ? null : number;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("num");
      const order = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const now = order[(order.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
      for (const other of heads) other.removeAttribute("aria-sort");
      if (now) head.setAttribute("aria-sort", now);
      for (const [body, rows] of bodies) {
        const titles = rows.filter((row) => row.classList.contains("group"));
        const rest = rows.filter((row) => !row.classList.contains("group"));
        if (now) rest.sort((one, two) => {
          const a = key(one, head), b = key(two, head);
          if (a === null || b === null) return (a === null) - (b === null);
          return now === "ascending" ? compare(a, b) : compare(b, a);
        });
        body.append(...titles, ...rest);
      }
    });
  }
}
"""


def content_hash(script: str) -> str:
    """The hash by which a content-security policy lets an inline script run, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
