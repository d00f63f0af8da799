// Which channels are drawn over time: the usual ones until others are picked; the browser remembers.
const MOST = 64;
const pickedKey = () => `charts.${page.sides[0].name}`;
const usual = (side) => side.charts.filter((chart) => chart.on).map((chart) => chart.label);
let picked = null;

function pickedLabels() {
  if (!picked) {
    const kept = recall(pickedKey()), known = new Set(page.sides.flatMap((side) => side.charts.map((chart) => chart.label)));
    picked = new Set(Array.isArray(kept) ? kept.filter((label) => known.has(label)) : page.sides.flatMap(usual));
  }
  return picked;
}

function pick(labels, on) {
  const chosen = pickedLabels();
  for (const label of labels) if (!on) chosen.delete(label); else if (chosen.size < MOST) chosen.add(label);
  store(pickedKey(), JSON.stringify([...chosen]));
}

function pickUsual() { picked = new Set(page.sides.flatMap(usual)); store(pickedKey(), JSON.stringify([...picked])); }

// Charts of the sides together, in the order of the schema, each label once.
function chartsOf(shown) {
  const seen = new Set(), chosen = pickedLabels();
  return shown.flatMap(({ side }) => page.sides[side].charts.filter((chart) => chosen.has(chart.label) && !seen.has(chart.label) && seen.add(chart.label)));
}

const isExtra = (side, chart) => { const channel = page.sides[side].more.find(({ name }) => name === chart.channel); return Boolean(channel) && chart.column >= channel.first; };

function picker(refresh) {
  const dialog = $("pick"), groups = new Map(), chosen = pickedLabels(), seen = new Set();
  for (const side of page.sides) for (const chart of side.charts) if (!seen.has(chart.label)) { seen.add(chart.label); groups.set(chart.channel, [...(groups.get(chart.channel) || []), chart]); }
  const box = el("div", { class: "channels" }), said = el("span", { class: "muted", role: "status" });
  const fill = () => {
    const text = search.value.toLowerCase(), focus = doc.activeElement && doc.activeElement.id;
    said.textContent = `${pickedLabels().size} of ${seen.size} drawn${pickedLabels().size >= MOST ? `, which is the most` : ""}`;
    box.replaceChildren(...[...groups].map(([name, charts]) => [name, charts.filter((chart) => `${chart.label} ${name}`.toLowerCase().includes(text))]).filter(([, charts]) => charts.length).map(([name, charts]) => el("fieldset", {},
      el("legend", {}, el("label", {}, check(`all-${name}`, charts.map((chart) => chart.label)), plain(name), charts[0].unit && el("span", { class: "unit" }, charts[0].unit))),
      charts.length > 1 ? el("div", { class: "parts" }, charts.map((chart) => el("label", {}, check(`one-${chart.label}`, [chart.label]), chart.label.startsWith(name) ? chart.label.slice(name.length) : chart.label))) : null)));
    if (focus && $(focus)) $(focus).focus();
  };
  const check = (id, labels) => {
    const now = pickedLabels(), node = el("input", { type: "checkbox", id, "data-labels": labels.length === 1 && labels[0], onchange: () => { pick(labels, node.checked); fill(); refresh(); } });
    node.checked = labels.every((label) => now.has(label));
    node.indeterminate = !node.checked && labels.some((label) => now.has(label));
    return node;
  };
  const search = el("input", { class: "field", type: "search", id: "pick-search", placeholder: "Search channels", "aria-label": "Search channels", oninput: fill });
  dialog.replaceChildren(el("h2", {}, "Channels"), el("div", { class: "row" }, search, said, el("span", { class: "spring" }), tool("Usual ones", "Those drawn at first", () => { pickUsual(); fill(); refresh(); }, { id: "usual" }), tool("Done", "Close (Escape)", () => dialog.close())), box);
  fill();
  dialog.showModal();
  void chosen;
}
