// State, views, links and keys.
const matches = page.pairs ? page.pairs.map(([a, b]) => [a, page.sides[1].episodes.find((episode) => episode.index === b)]) : page.sides[0].episodes.map((episode) => [episode.index, null]);
const first = new Map(page.sides[0].episodes.map((episode) => [episode.index, episode]));
const entries = matches.map(([index, b]) => ({ a: first.get(index), b })).filter(({ a }) => a);
for (const entry of entries) entry.words = haystack(entry);
const state = {
  view: "gallery", episode: entries.length ? entries[0].a.index : 0, t: 0, playing: false, speed: page.speed,
  show: { trails: true, discs: false, follow: false, overlay: Boolean(page.pairs) },
  filter: { text: "", scenario: "", outcomes: new Set(), least: 0, sort: page.pairs ? "apart" : "score" },
};
let redraw = () => {};
const VIEWS = { gallery: "Gallery", player: "Player", dataset: "Dataset" };

// The address says what is seen: #e=17&t=64 an episode and a step, #dataset the dataset, else the gallery.
function remember() {
  const hash = state.view === "player" ? `#e=${state.episode}&t=${state.t}` : state.view === "dataset" ? "#dataset" : "#";
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

function go(change) {
  const from = state.view;
  Object.assign(state, change, { playing: false });
  if (from !== state.view) { try { history.pushState(null, "", location.hash || "#"); } catch { /* same place */ } scrollTo(0, 0); }
  remember();
  render();
}

function arrive() {
  const asked = new URLSearchParams(location.hash.slice(1)), index = Number(asked.get("e"));
  state.playing = false;
  if (asked.has("e") && first.has(index)) Object.assign(state, { view: "player", episode: index, t: Math.max(0, Number(asked.get("t")) || 0) });
  else state.view = asked.has("dataset") ? "dataset" : "gallery";
  render();
}

function render() {
  $("tabs").replaceChildren(...Object.entries(VIEWS).map(([view, word]) => el("button", { type: "button", id: `tab-${view}`, "aria-current": String(view === state.view), onclick: () => go({ view }) }, word)));
  live = null;
  if (state.view === "player" && entries.length) {
    const entry = entries.find(({ a }) => a.index === state.episode) || entries[0];
    state.episode = entry.a.index;
    player(entry);
  } else {
    doc.title = page.title;
    if (state.view === "dataset") sheet(); else gallery();
  }
}

function header() {
  const names = page.sides.map((side, i) => [i ? el("span", { class: "vs" }, "against") : null, page.sides.length > 1 ? el("span", { class: "swatch", vars: { background: i ? "var(--b)" : "var(--agent)" } }) : null, side.name, side.version ? el("span", { class: "ver" }, ` ${side.version}`) : null]);
  $("name").append(...names.flat().filter(Boolean));
  for (const side of page.sides) {
    const kind = { validated: "good", quarantined: "bad", draft: "warn" }[side.status] || "";
    if (side.status) $("chips").append(el("span", { class: `chip ${kind}`, title: [...side.reviews, ...side.reasons].join("\n") }, el("span", { class: "dot" }), side.status));
    if (side.reviews.length) $("chips").append(el("span", { class: "chip review", title: side.reviews.join("\n") }, side.reviews[0]));
    if (side.replay) $("chips").append(el("span", { class: `chip ${side.replay.ok ? "good" : "bad"}`, title: side.replay.sentence }, `replay ${side.replay.equal}/${side.replay.checked}`));
    if (page.sides.length === 1) $("chips").append(el("span", { class: "chip" }, `${count(side.episodes_total, "episode")}, ${count(side.steps_total, "step")}`));
  }
  $("home").addEventListener("click", (event) => { event.preventDefault(); go({ view: "gallery" }); });
  $("theme").addEventListener("click", () => { store("theme", root.dataset.theme === "dark" ? "light" : "dark"); paintTheme(); });
  $("help").addEventListener("click", help);
}

function paintTheme() {
  const asked = store("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = asked;
  $("theme").replaceChildren(icon(asked === "dark" ? "sun" : "moon"));
  readColours();
  redraw();
}

const KEYS = [["space", "play or pause"], ["← →", "one step; with shift, ten"], ["home end", "first or last step"], ["n p", "next or previous anomaly, on to the next episode"], ["j k", "next or previous episode"], ["+ −", "faster or slower"], ["t d f", "trails, personal space, follow the agent"], ["o", "both agents in each view of a comparison"], ["c", "copy a link to this step"], ["g", "gallery"], ["i", "dataset: statistics, replay, provenance"], ["/", "search"], ["?", "these keys"]];

function help() {
  const dialog = $("keys");
  if (dialog.open) { dialog.close(); return; }
  dialog.replaceChildren(el("h2", {}, "Keys"), el("div", { class: "keys" }, KEYS.map(([keys, words]) => [el("span", {}, keys.split(" ").map((key) => [el("kbd", {}, key), " "])), el("span", {}, words)])));
  dialog.showModal();
}

const press = (id) => { const node = $(id); if (node) node.click(); };
const faster = (way) => { const at = SPEEDS.findIndex((value) => value >= state.speed); state.speed = SPEEDS[clamp(at + way, 0, SPEEDS.length - 1)]; if ($("speed")) $("speed").value = state.speed; };
const ACTIONS = {
  " ": toggle, n: () => hop(1), p: () => hop(-1), j: () => step(1), k: () => step(-1), "+": () => faster(1), "=": () => faster(1), "-": () => faster(-1),
  t: () => press("trails"), d: () => press("discs"), f: () => press("follow"), o: () => press("overlay"), c: () => press("link"),
  Home: () => { pause(); seek(0); }, End: () => { pause(); seek(live.total); },
};

function anywhere(key) {
  if (key === "?") help();
  else if (key === "g" || (key === "Escape" && !$("keys").open)) go({ view: "gallery" });
  else if (key === "i") go({ view: "dataset" });
  else if (key === "/") { if (state.view !== "gallery") go({ view: "gallery" }); $("search").focus(); }
  else return false;
  return true;
}

doc.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range") { if (event.key === "Escape") event.target.blur(); return; }
  if (anywhere(event.key)) { event.preventDefault(); return; }
  if (state.view !== "player" || !live || !live.lane || $("keys").open) return;
  const arrow = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (arrow) { event.preventDefault(); pause(); seek(state.t + arrow * (event.shiftKey ? 10 : 1)); return; }
  if (ACTIONS[event.key]) { event.preventDefault(); ACTIONS[event.key](); }
});
addEventListener("hashchange", arrive);
addEventListener("popstate", arrive);
addEventListener("resize", () => redraw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintTheme);
paintTheme();
header();
if (page.open !== null && !location.hash) location.hash = `e=${page.open[0]}&t=${page.open[1]}`;
arrive();
root.dataset.ready = "true";
