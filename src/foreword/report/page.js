"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const el = (id) => document.getElementById(id);
  const [search, filter, seed, place, box] = ["search", "filter", "seed", "place", "example"].map(el);
  if (!data.examples.length) return;
  el("browse").hidden = false;

  // Text reaches the page only as text nodes: nothing that a model or a file says can become markup.
  const make = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  const lit = (text) => {
    const word = search.value.trim();
    const out = make("p", { class: "text" });
    const where = word ? text.toLowerCase() : "";
    let from = 0;
    while (word) {
      const at = where.indexOf(word.toLowerCase(), from);
      if (at < 0 || where.length !== text.length) break;
      out.append(text.slice(from, at), make("mark", {}, text.slice(at, at + word.length)));
      from = at + word.length;
    }
    out.append(text.slice(from));
    return out;
  };
  const option = (select, value, text) => select.append(make("option", { value }, text));

  const seeds = [...new Set(data.methods.flatMap((method) => method.seeds))].sort((a, b) => a - b);
  seeds.forEach((one) => option(seed, one, String(one)));
  el("seed-label").hidden = seeds.length < 2;
  option(filter, "all", "all examples");
  if (data.methods.length > 1) {
    option(filter, "disagree", "methods disagree");
    data.methods.forEach((method, m) => option(filter, `best${m}`, `only ${method.label} is best`));
  }
  option(filter, "none", "no method scores");

  const answer = (example, m) => {
    const at = data.methods[m].seeds.indexOf(Number(seed.value));
    return at >= 0 ? example.answers[m][at] : data.methods[m].same ? example.answers[m][0] : null;
  };
  const answers = (example) => data.methods.map((_, m) => answer(example, m));
  const words = (example) =>
    [example.id, example.input, ...example.targets, ...answers(example).filter(Boolean).map((one) => one.output)].join("\n").toLowerCase();

  const fits = (example) => {
    if (!words(example).includes(search.value.trim().toLowerCase())) return false;
    const given = answers(example);
    const scores = given.map((one) => (one && one.score !== null ? one.score : -1));
    const high = Math.max(...scores);
    if (filter.value === "disagree") return new Set(given.filter(Boolean).map((one) => one.output.trim())).size > 1;
    if (filter.value === "none") return high <= 0;
    if (filter.value.startsWith("best")) {
      return scores.filter((score) => score === high).length === 1 && scores[Number(filter.value.slice(4))] === high;
    }
    return true;
  };

  const demonstration = (one) => {
    const lines = one.shown.map(([index, similarity]) => {
      const told = similarity === null ? "" : `, similarity ${similarity}`;
      return make("div", {}, make("p", { class: "label" }, `demonstration ${data.shown[index].id}${told}`), lit(data.shown[index].text));
    });
    const dropped = one.dropped ? ` ${one.dropped} left out for want of room.` : "";
    const before = `${one.before.toLocaleString("en")} token${one.before === 1 ? "" : "s"} before the input.${dropped}`;
    return make("div", { class: "shown" }, ...lines, make("p", { class: "label" }, lines.length ? before : `No demonstration; ${before}`));
  };
  const card = (m, one) => {
    const method = data.methods[m];
    const score = one && one.score !== null ? one.score.toFixed(1) : "–";
    const head = make("header", {}, make("h3", {}, method.label), make("div", { class: "score" }, score, make("span", {}, ` ${data.metric}`)));
    if (!one) return make("div", { class: `card b${method.colour}` }, head, make("p", { class: "label" }, "not run with this seed"));
    const text = one.output.trim() ? lit(one.output) : make("p", { class: "label" }, "(an empty answer)");
    const cut = one.cut ? make("p", { class: "label" }, "(ended by --max-new-tokens, not by the model)") : null;
    return make("div", { class: `card b${method.colour}` }, head, text, cut, demonstration(one));
  };

  let kept = data.examples;
  let at = 0;
  const draw = () => {
    const example = kept[at];
    place.textContent = example ? `${at + 1} of ${kept.length.toLocaleString("en")}` : "none found";
    el("previous").disabled = at <= 0;
    el("next").disabled = at >= kept.length - 1;
    if (!example) return box.replaceChildren(make("p", { class: "empty" }, "No example fits; clear the search or show all examples."));
    const targets = example.targets.map((target) => make("li", {}, lit(target)));
    const question = make(
      "div", { class: "question" },
      make("p", { class: "label" }, `input ${example.id}`), lit(example.input),
      make("p", { class: "label" }, targets.length === 1 ? "target" : `${targets.length} accepted targets`), make("ul", { class: "targets" }, ...targets),
    );
    box.replaceChildren(question, make("div", { class: "cards" }, ...answers(example).map((one, m) => card(m, one))));
  };
  const again = () => {
    const now = kept[at];
    kept = data.examples.filter(fits);
    at = Math.max(0, kept.indexOf(now));
    draw();
  };
  const step = (by) => {
    at = Math.min(Math.max(at + by, 0), Math.max(kept.length - 1, 0));
    draw();
  };
  el("previous").addEventListener("click", () => step(-1));
  el("next").addEventListener("click", () => step(1));
  search.addEventListener("input", again);
  filter.addEventListener("change", again);
  seed.addEventListener("change", again);
  el("browser").addEventListener("keydown", (event) => {
    if (["INPUT", "SELECT"].includes(event.target.tagName)) return;
    if (event.key === "ArrowRight") step(1);
    if (event.key === "ArrowLeft") step(-1);
  });
  again();
})();
