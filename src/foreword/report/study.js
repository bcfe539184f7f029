(() => {
  // A mark leads to the answers behind it: the fold opens, and the keyboard goes with it.
  const open = () => {
    const part = location.hash.startsWith("#c-") ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (!part) return;
    part.open = true;
    part.querySelector("summary").focus({ preventScroll: true });
    part.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", open);
  for (const mark of document.querySelectorAll("svg [data-to]")) {
    mark.addEventListener("click", () => { location.hash = mark.dataset.to; });
  }
  open();
})();
(() => {
  // On a phone a row of a wide table is a card: each cell with its column's name before it.
  for (const table of document.querySelectorAll("table.copied")) {
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent.trim());
    for (const row of table.tBodies[0].rows) {
      [...row.cells].forEach((cell, column) => { if (cell.tagName === "TD" && heads[column]) cell.dataset.head = heads[column]; });
    }
    table.classList.add("stacked");
  }
})();
