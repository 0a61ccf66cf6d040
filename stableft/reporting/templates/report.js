"use strict";
(() => {
  const number = (text) => {
    const found = /^[<>[~]?\s*(-?\d[\d,]*\.?\d*(?:e[-+]?\d+)?)/i.exec(text);
    return found ? Number(found[1].replaceAll(",", "")) : NaN;
  };
  const compare = (a, b) => {
    const [x, y] = [number(a), number(b)];
    return (!Number.isNaN(x) && !Number.isNaN(y) && x - y) || a.localeCompare(b, "en");
  };
  const absent = (text) => ["", "\u2013", "nan"].includes(text);

  const sort = (table, header) => {
    const order = header.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    const sign = order === "ascending" ? 1 : -1;
    const rows = Array.from(table.tBodies[0].rows, (row) => [row.cells[header.cellIndex].textContent.trim(), row]);
    rows.sort(([a], [b]) => absent(a) - absent(b) || sign * compare(a, b)); // what is absent comes last either way
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const header of table.tHead.rows[0].cells) {
      if ("unsorted" in header.dataset) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(table, header));
      header.append(button);
    }
  }

  const items = Array.from(document.querySelectorAll("[data-filter]"), (element) => [element, element.textContent.toLowerCase()]);
  const query = document.getElementById("query");
  const buttons = Array.from(document.querySelectorAll("[data-show]"));

  const filter = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = buttons.filter((button) => button.getAttribute("aria-pressed") === "true").map((button) => button.dataset.show);
    const counts = new Map();
    for (const [element, text] of items) {
      const { filter: kind, verdict } = element.dataset;
      const wanted = !verdicts.length || !verdict || verdicts.includes(verdict);
      element.hidden = !(wanted && words.every((word) => text.includes(word)));
      const [shown, all] = counts.get(kind) || [0, 0];
      counts.set(kind, [shown + !element.hidden, all + 1]);
    }
    const less = Array.from(counts).filter(([, [shown, all]]) => shown < all);
    const matches = less.map(([kind, [shown, all]]) => `${shown} of ${all} ${kind}`).join(", ");
    document.getElementById("matches").textContent = matches;
  };

  // A link to a collapsed part opens it, and all around it.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    let part = target.querySelector(":scope > details.row") || target.closest("details");
    for (; part; part = part.parentElement.closest("details")) part.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  query.form.hidden = false;
  query.form.addEventListener("submit", (event) => event.preventDefault());
  query.addEventListener("input", filter);
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
})();
