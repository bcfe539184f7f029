"use strict";
// On paper nothing can be opened, so that all is open there.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
(() => {
  // Columns sort at a click on their head; without this script the table keeps the order of the command.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const numbers = [...table.tBodies[0].rows].some((row) => "sort" in row.cells[column].dataset);
        const value = (row) => {
          const cell = row.cells[column];
          if (!numbers) return cell.textContent;
          return "sort" in cell.dataset ? Number(cell.dataset.sort) : -Infinity;
        };
        const order = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (down ? -1 : 1);
        table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
      });
    });
  }
})();
(() => {
  // A table is copied as it stands, in the order in which it is sorted: one text a cell, `data-copy` where it has one.
  const text = (cell) => ("copy" in cell.dataset ? cell.dataset.copy : cell.textContent).trim().replace(/\s+/g, " ");
  const rows = (table) => [...table.rows].map((row) => [...row.cells].map(text));
  const csv = (cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const signs = { "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$", "−": "$-$", "–": "--" };
  const latex = (cell) => [...cell].map((sign) => signs[sign] ?? sign).join("");
  const forms = {
    CSV: (lines) => lines.map((line) => line.map(csv).join(",")).join("\n"),
    LaTeX: ([head, ...body]) => [
      `\\begin{tabular}{l${"r".repeat(head.length - 1)}}`, "\\toprule", `${head.map(latex).join(" & ")} \\\\`, "\\midrule",
      ...body.map((line) => `${line.map(latex).join(" & ")} \\\\`), "\\bottomrule", "\\end{tabular}",
    ].join("\n"),
    Markdown: ([head, ...body]) => [head, head.map(() => "---"), ...body]
      .map((line) => `| ${line.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n"),
  };
  const put = async (words) => {
    try {
      await navigator.clipboard.writeText(words);
    } catch {
      // A page that lies on a disk may have no clipboard: what is selected is copied the old way.
      const field = document.createElement("textarea");
      field.value = words;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
  };
  for (const table of document.querySelectorAll("table.copied")) {
    const bar = document.createElement("p");
    bar.className = "copy";
    const told = document.createElement("span");
    told.setAttribute("role", "status");
    for (const [name, form] of Object.entries(forms)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Copy as ${name}`;
      button.addEventListener("click", async () => {
        const words = form(rows(table));
        await put(words);
        button.dataset.copied = words;
        told.textContent = `Copied as ${name}.`;
      });
      bar.append(button);
    }
    bar.append(told);
    (table.closest(".scroll") ?? table).after(bar);
  }
})();
