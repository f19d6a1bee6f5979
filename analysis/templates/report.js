"use strict";
// Click a header to sort by it, again to turn the order round, a third time for the table's own.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const own = Array.from(body.rows);
  const heads = Array.from(table.querySelectorAll("th[data-sort]"));
  const key = (row, name) => {
    const cell = row.querySelector('[data-name="' + CSS.escape(name) + '"]');
    const text = cell === null ? "" : cell.dataset.order;
    const number = Number(text);
    return text === "" ? null : Number.isNaN(number) ? text : number;
  };
  const before = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b));
  };
  const sort = (head) => {
    const now = head.getAttribute("aria-sort");
    const next = now === null ? "ascending" : now === "ascending" ? "descending" : null;
    for (const other of heads) other.removeAttribute("aria-sort");
    if (next !== null) head.setAttribute("aria-sort", next);
    table.classList.toggle("sorted", next !== null);
    const rows = own.slice();
    if (next !== null) {
      const sign = next === "ascending" ? 1 : -1;
      const keys = new Map(rows.map((row) => [row, key(row, head.dataset.sort)]));
      rows.sort((a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * before(x, y);
      });
    }
    body.append(...rows);
  };
  for (const head of heads) head.querySelector("button").addEventListener("click", () => sort(head));
}
document.documentElement.dataset.ready = "true";
