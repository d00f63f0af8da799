// Which episodes are shown: search, scenario, outcome, and any field by its histogram.
const SORTS = {
  score: ["Most anomalous first", (e) => -e.a.score], apart: ["Most different first", (e) => e.b ? -apart(e) : 0],
  index: ["Recorded order", (e) => e.a.index], low: ["Lowest return first", (e) => e.a.return ?? 0], high: ["Highest return first", (e) => -(e.a.return ?? 0)],
  long: ["Longest first", (e) => -e.a.steps], close: ["Closest call first", (e) => e.a.min_clearance ?? 1e9],
};
const apart = (e) => (e.a.outcome !== e.b.outcome ? 1e6 : 0) + Math.abs((e.a.return ?? 0) - (e.b.return ?? 0)) + Math.abs(e.a.steps - e.b.steps) / 1e3;

function haystack(entry) {
  const { a, b } = entry, { mark, tags, note } = markOf(a), said = { keep: "keep kept", exclude: "exclude excluded" }[mark] || "unmarked";
  const fields = Object.entries(a.values).map(([name, value]) => `${name} ${name}=${fieldText(value)} ${fieldText(value)}`);
  return [`#${a.index}`, a.scenario, plain(a.scenario), a.seed, a.outcome, plain(a.outcome), b && b.outcome, ...a.anomalies.map((found) => `${found.kind} ${plain(found.kind)}`), a.error && "unreadable", a.replay && !a.replay.equal && "replay differs", ...fields, said, ...tags, note, entry.by && `by ${entry.by}`].join(" ").toLowerCase();
}

const wordsOf = (entry) => entry.words || (entry.words = haystack(entry));

function filtered() {
  const { text, scenario, outcomes, fields, sort } = state.filter, tokens = text.toLowerCase().split(/\s+/).filter(Boolean), rank = SORTS[sort][1];
  const on = [...fields].map(([name, filter]) => [fieldNamed(name), filter]).filter(([field, filter]) => field && isOn(filter));
  return entries.filter((entry) => (!scenario || entry.a.scenario === scenario) && (!outcomes.size || outcomes.has(entry.a.outcome)) && tokens.every((token) => wordsOf(entry).includes(token)) && on.every(([field, filter]) => passes(field, filter, entry)))
    .sort((one, other) => rank(one) - rank(other) || one.a.index - other.a.index);
}

const unique = (values) => [...new Set(values)].sort();

function filterBar(refresh) {
  const filter = state.filter, scenarios = unique(entries.map((entry) => entry.a.scenario).filter(Boolean)), outcomes = unique(entries.map((entry) => entry.a.outcome).filter(Boolean));
  const search = el("input", { class: "field", type: "search", id: "search", placeholder: "Search  ( / )", "aria-label": "Search episodes and their fields", value: filter.text, oninput: (event) => { filter.text = event.target.value; refresh(); } });
  const pick = el("select", { class: "field", id: "scenario", "aria-label": "Scenario", onchange: (event) => { filter.scenario = event.target.value; refresh(); } }, el("option", { value: "" }, "All scenarios"), scenarios.map((name) => el("option", { value: name, selected: name === filter.scenario }, plain(name))));
  const buttons = outcomes.map((name) => el("button", { class: "toggle", type: "button", "data-outcome": name, "aria-pressed": String(filter.outcomes.has(name)), vars: { "--c": outcomeColour(name) }, onclick: (event) => {
    if (!filter.outcomes.delete(name)) filter.outcomes.add(name);
    event.currentTarget.setAttribute("aria-pressed", String(filter.outcomes.has(name)));
    refresh();
  } }, el("i"), plain(name), el("b", {}, entries.filter((entry) => entry.a.outcome === name).length)));
  const more = el("button", { class: "toggle more", type: "button", id: "fields", title: "Histograms and filters of every field (h)", "aria-expanded": String(state.panel), "aria-controls": "panel", onclick: () => { state.panel = !state.panel; store("panel", String(state.panel)); more.setAttribute("aria-expanded", String(state.panel)); refresh(); } }, icon("bars"), "Fields");
  const sort = el("select", { class: "field", id: "sort", "aria-label": "Order", onchange: (event) => { filter.sort = event.target.value; refresh(); } }, Object.entries(SORTS).filter(([key]) => key !== "apart" || page.pairs).filter(([key]) => key !== "close" || entries.some((entry) => entry.a.min_clearance !== null)).map(([key, [words]]) => el("option", { value: key, selected: key === filter.sort }, words)));
  return el("div", { class: "filters" }, search, scenarios.length > 1 && pick, outcomes.length > 0 && el("div", { class: "outcomes", role: "group", "aria-label": "Outcome" }, buttons), more, el("div", { class: "order" }, el("span", { class: "shown", id: "shown", "aria-live": "polite" }), sort));
}

// Filters that are on, each with a way out.
function chipsOf(refresh) {
  const { fields } = state.filter, on = [...fields].filter(([, filter]) => isOn(filter));
  if (!on.length) return null;
  return el("div", { class: "on" }, on.map(([name, filter]) => el("button", { class: "chip", type: "button", title: "Take this filter away", onclick: () => { fields.delete(name); refresh(); } }, filterWords(name, filter), icon("cross"))), on.length > 1 && el("button", { class: "chip plain", type: "button", onclick: () => { fields.clear(); refresh(); } }, "all of them"));
}

function setFilter(name, filter, refresh) {
  if (isOn(filter)) state.filter.fields.set(name, filter); else state.filter.fields.delete(name);
  refresh();
}

// The panel: a histogram of every field over all episodes, those that are shown in full colour.
// It is built once, and brought up to date when the filters or the marks change.
function panelOf(refresh) {
  const node = el("section", { class: "fields", id: "panel", "aria-label": "Fields" }), made = FIELDS.filter(({ kind }) => kind !== "list").map((field) => fieldCard(field, refresh));
  node.append(...made);
  node.update = (shown) => { const here = new Set(shown); for (const one of made) one.update(here); };
  return node;
}

const inBar = (field, bar, entry) => {
  const value = field.of(entry);
  if (field.kind !== "number") return (field.kind === "tags" ? value : [fieldText(value)]).includes(bar.word);
  return value !== null && value !== undefined && bar.count > 0 && value >= bar.least && value <= bar.most;
};

// Bars from one to another as a filter. It ends at their greatest value, since the next bar begins at the edge.
function span(bars, one, other) {
  const i = Math.min(one, other), j = Math.max(one, other), full = bars.slice(i, j + 1).filter((bar) => bar.count), most = full.length ? full.at(-1).most : bars[i].low;
  return { low: full.length ? Math.min(bars[i].low, full[0].least) : bars[i].low, high: j === bars.length - 1 ? Math.max(bars[j].high, most) : most };
}

// Dragging over bars, or shift with a click or with Enter, takes all from one to another.
function brush(plot, nodes, take) {
  const at = (event) => { const all = nodes(); let near = -1; all.forEach((node, i) => { if (event.clientX >= node.getBoundingClientRect().left) near = i; }); return Math.max(0, near); };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button || !nodes().length) return;
    const start = at(event), moved = (now) => { const end = at(now); nodes().forEach((node, i) => node.setAttribute("aria-pressed", String(i >= Math.min(start, end) && i <= Math.max(start, end)))); };
    addEventListener("pointermove", moved);
    addEventListener("pointerup", (now) => { removeEventListener("pointermove", moved); const end = at(now); if (end !== start) take(start, end); }, { once: true });
  });
}

function fieldCard(field, refresh) {
  const { name, kind, unit } = field, numeric = kind === "number", now = () => state.filter.fields.get(name) || {}, plot = el("div", { class: numeric ? "histogram" : "histogram texts", role: "group", "aria-label": `Histogram of ${plain(name)}` });
  let bars = [], rest = 0, nodes = [], inside = [], anchor = 0;
  const take = (one, other) => { const filter = now(), next = span(bars, one, other); anchor = one; setFilter(name, filter.low === next.low && filter.high === next.high ? {} : next, refresh); };
  const click = (bar, i) => (event) => {
    const filter = now(), words = new Set(filter.words || []);
    if (numeric) take(event.shiftKey ? anchor : i, i);
    else { if (!words.delete(bar.word)) words.add(bar.word); setFilter(name, { ...filter, words }, refresh); }
  };
  const fill = () => {
    const found = histogram(field, entries), most = Math.max(1, ...found.bars.map((bar) => bar.count));
    ({ bars, rest = 0 } = found);
    inside = bars.map((bar, i) => entries.filter((entry) => inBar(field, bar, entry)));
    nodes = bars.map((bar, i) => el("button", { type: "button", class: numeric ? "bar-n" : "bar-t", id: `bar-${name}-${i}`, tabindex: i ? -1 : 0, title: `${bar.words}: ${count(bar.count, "episode")}`, "aria-label": `${plain(name)} ${bar.words}: ${count(bar.count, "episode")}`, vars: { "--all": `${100 * bar.count / most}%` }, onclick: click(bar, i), onkeydown: rove }, numeric ? null : [el("span", { class: "w" }, bar.words), el("b")]));
    plot.replaceChildren(...nodes);
    return found.none;
  };
  if (numeric) brush(plot, () => nodes, take);
  const none = fill(), own = field.kind === "tags" || name === "mark";
  const typed = (key, value) => setFilter(name, { low: null, high: null, ...now(), [key]: value }, refresh);
  const edge = (key, words) => el("input", { class: "field", type: "number", step: "any", id: `${key}-${name}`, placeholder: words, "aria-label": `${plain(name)} ${words}`, oninput: (event) => typed(key, event.target.value === "" ? null : Number(event.target.value)) });
  const inputs = numeric ? { low: edge("low", "from"), high: edge("high", "to") } : own ? {} : { part: el("input", { class: "field", type: "search", id: `part-${name}`, placeholder: rest ? `contains … (${rest} more)` : "contains …", "aria-label": `${plain(name)} contains`, oninput: (event) => setFilter(name, { ...now(), part: event.target.value }, refresh) }) };
  const node = el("div", { class: "panel fieldcard", "data-field": name }, el("h3", {}, plain(name), unit && el("span", { class: "unit" }, unit), none ? el("span", { class: "unit" }, `${none} without`) : null), plot,
    numeric ? [el("div", { class: "ends" }, el("span", {}, bars.length ? number(bars[0].low) : ""), el("span", {}, bars.length ? number(bars.at(-1).high) : "")), el("div", { class: "edges" }, inputs.low, inputs.high)] : inputs.part);
  node.update = (here) => {
    const filter = now(), held = doc.activeElement && doc.activeElement.id;
    if (own) { fill(); node.hidden = !bars.length; if (held && nodes.some(({ id }) => id === held)) $(held).focus(); }
    node.classList.toggle("set", isOn(filter));
    for (const [key, input] of Object.entries(inputs)) if (input !== doc.activeElement) input.value = filter[key] ?? "";
    bars.forEach((bar, i) => {
      const seen = inside[i].filter((entry) => here.has(entry)).length, on = numeric ? isOn(filter) && (bar.least ?? bar.low) >= (filter.low ?? -Infinity) && (bar.most ?? bar.low) <= (filter.high ?? Infinity) : Boolean(filter.words && filter.words.has(bar.word));
      nodes[i].setAttribute("aria-pressed", String(on));
      nodes[i].style.setProperty("--here", `${bar.count ? seen / bar.count * parseFloat(nodes[i].style.getPropertyValue("--all")) : 0}%`);
      if (!numeric) nodes[i].lastChild.textContent = seen === bar.count ? bar.count : `${seen}/${bar.count}`;
    });
  };
  return node;
}

// Arrow keys go from bar to bar.
function rove(event) {
  const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], next = way && (way > 0 ? event.currentTarget.nextElementSibling : event.currentTarget.previousElementSibling);
  if (!way) return;
  event.preventDefault();
  event.stopPropagation();
  if (next) next.focus();
}
