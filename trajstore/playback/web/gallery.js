// All episodes at a glance, worst first.
const SORTS = {
  score: ["Most anomalous first", (e) => -e.a.score], apart: ["Most different first", (e) => e.b ? -apart(e) : 0],
  index: ["Recorded order", (e) => e.a.index], low: ["Lowest return first", (e) => e.a.return ?? 0], high: ["Highest return first", (e) => -(e.a.return ?? 0)],
  long: ["Longest first", (e) => -e.a.steps], close: ["Closest call first", (e) => e.a.min_clearance ?? 1e9],
};
const apart = (e) => (e.a.outcome !== e.b.outcome ? 1e6 : 0) + Math.abs((e.a.return ?? 0) - (e.b.return ?? 0)) + Math.abs(e.a.steps - e.b.steps) / 1e3;

function haystack(entry) {
  const { a, b } = entry;
  return [`#${a.index}`, a.scenario, plain(a.scenario), a.seed, a.outcome, plain(a.outcome), b && b.outcome, ...a.anomalies.map((found) => `${found.kind} ${plain(found.kind)}`), a.error && "unreadable", a.replay && !a.replay.equal && "replay differs"].join(" ").toLowerCase();
}

function filtered() {
  const { text, scenario, outcomes, least, sort } = state.filter, tokens = text.toLowerCase().split(/\s+/).filter(Boolean), rank = SORTS[sort][1];
  return entries.filter((entry) => (!scenario || entry.a.scenario === scenario) && (!outcomes.size || outcomes.has(entry.a.outcome)) && entry.a.score >= least - 1e-4 && tokens.every((token) => entry.words.includes(token)))
    .sort((one, other) => rank(one) - rank(other) || one.a.index - other.a.index);
}

const unique = (values) => [...new Set(values)].sort();

function filterBar(refresh) {
  const filter = state.filter, most = Math.max(0.1, ...entries.map((entry) => entry.a.score));
  const scenarios = unique(entries.map((entry) => entry.a.scenario).filter(Boolean)), outcomes = unique(entries.map((entry) => entry.a.outcome).filter(Boolean));
  const search = el("input", { class: "field", type: "search", id: "search", placeholder: "Search  ( / )", "aria-label": "Search episodes", value: filter.text, oninput: (event) => { filter.text = event.target.value; refresh(); } });
  const pick = el("select", { class: "field", id: "scenario", "aria-label": "Scenario", onchange: (event) => { filter.scenario = event.target.value; refresh(); } }, el("option", { value: "" }, "All scenarios"), scenarios.map((name) => el("option", { value: name, selected: name === filter.scenario }, plain(name))));
  const buttons = outcomes.map((name) => el("button", { class: "toggle", type: "button", "data-outcome": name, "aria-pressed": String(filter.outcomes.has(name)), vars: { "--c": outcomeColour(name) }, onclick: (event) => {
    if (!filter.outcomes.delete(name)) filter.outcomes.add(name);
    event.currentTarget.setAttribute("aria-pressed", String(filter.outcomes.has(name)));
    refresh();
  } }, el("i"), plain(name), el("b", {}, entries.filter((entry) => entry.a.outcome === name).length)));
  const value = el("span", { class: "mono" }, points(filter.least));
  const least = el("label", { class: "least" }, "Score from", el("input", { type: "range", id: "least", min: 0, max: most, step: most / 40, value: filter.least, oninput: (event) => { filter.least = Number(event.target.value); value.textContent = points(filter.least); refresh(); } }), value);
  const sort = el("select", { class: "field", id: "sort", "aria-label": "Order", onchange: (event) => { filter.sort = event.target.value; refresh(); } }, Object.entries(SORTS).filter(([key]) => key !== "apart" || page.pairs).filter(([key]) => key !== "close" || entries.some((entry) => entry.a.min_clearance !== null)).map(([key, [words]]) => el("option", { value: key, selected: key === filter.sort }, words)));
  return el("div", { class: "filters" }, search, scenarios.length > 1 && pick, el("div", { class: "outcomes" }, buttons), least, el("div", { class: "order" }, el("span", { class: "shown", id: "shown", "aria-live": "polite" }), sort));
}

// The number on the right of a card is the one that the order is about.
function telling(a) {
  if (state.filter.sort === "low" || state.filter.sort === "high") return `return ${number(a.return)}`;
  return state.filter.sort === "close" && a.min_clearance !== null ? `${a.min_clearance.toFixed(2)} m` : count(a.steps, "step");
}

const said = (outcome) => el("span", { class: "out", vars: { "--c": outcomeColour(outcome) } }, outcome ? plain(outcome) : "–");

function card(entry, watch) {
  const { a, b } = entry, canvas = el("canvas", { "aria-hidden": "true" });
  const badge = a.error ? "unreadable" : a.replay && !a.replay.equal ? "replay differs" : a.score > 0 ? `▲ ${points(a.score)}` : null;
  const node = el("button", { class: "card", type: "button", "data-episode": a.index, onclick: () => go({ view: "player", episode: a.index, t: 0 }) },
    el("div", { class: "thumb" }, canvas, badge && el("span", { class: `badge ${badge[0] === "▲" ? level(a.score) : "l3"}` }, badge)),
    el("div", { class: "marks" }, a.anomalies.filter((found) => found.last - found.first < a.steps - 1 || a.steps === 1).slice(0, 60).map((found) => el("i", { vars: { "--c": `var(--${tone(found.score)})`, left: `${found.first / a.steps * 100}%`, width: `${(found.last - found.first + 1) / a.steps * 100}%` } }))),
    el("div", { class: "meta" }, el("div", { class: "top" }, el("span", { class: "no" }, `#${a.index}`), el("span", { class: "scn", title: a.scenario }, plain(a.scenario || ""))),
      el("div", { class: "sub" }, b ? el("span", {}, said(a.outcome), " · ", said(b.outcome)) : said(a.outcome), el("span", { class: "last", hidden: Boolean(b) }, telling(a)))));
  node.entry = entry;
  node.canvas = canvas;
  watch.observe(node);
  node.addEventListener("pointerenter", () => preview(node));
  return node;
}

async function thumb(node, t = null) {
  const { a, b } = node.entry;
  if (a.error) return;
  const data = await unpack(0, a);
  drawThumb(node.canvas, 0, a, data, t, b ? await unpack(1, b) : null);
}

// While the pointer rests on a card, its episode plays in the thumbnail.
async function preview(node) {
  if (node.entry.a.error || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const data = await unpack(0, node.entry.a), start = performance.now();
  const frame = (now) => {
    if (!node.isConnected || !node.matches(":hover")) { if (node.isConnected) thumb(node); return; }
    thumb(node, Math.floor((now - start) / 12) % (data.T + 1));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

function gallery() {
  const grid = el("div", { class: "grid", id: "gallery" }), made = new Map();
  const watch = new IntersectionObserver((seen) => seen.forEach((item) => { if (item.isIntersecting) { watch.unobserve(item.target); thumb(item.target); } }), { rootMargin: "300px" });
  const refresh = () => {
    const shown = filtered();
    grid.replaceChildren(...shown.map((entry) => { if (!made.has(entry)) made.set(entry, card(entry, watch)); const node = made.get(entry); node.querySelector(".last").textContent = telling(entry.a); return node; }));
    if (!shown.length) grid.append(el("p", { class: "empty" }, "No episode fits these filters."));
    $("shown").textContent = `${shown.length.toLocaleString("en")} of ${count(entries.length, page.pairs ? "pair" : "episode")}`;
  };
  $("main").replaceChildren(...notices(), filterBar(refresh), grid);
  refresh();
  redraw = () => made.forEach((node) => { if (node.isConnected) thumb(node); });
}

function notices() {
  return page.sides.flatMap((side) => side.notices.map(([kind, text]) => el("p", { class: `notice ${kind}` }, page.sides.length > 1 && el("b", {}, `${side.name} ${side.version}: `), text)));
}
