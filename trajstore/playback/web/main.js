// State, views, links and keys.
const matches = page.pairs ? page.pairs.map(([a, b, by]) => [a, page.sides[1].episodes.find((episode) => episode.index === b), by]) : page.sides[0].episodes.map((episode) => [episode.index, null, ""]);
const first = new Map(page.sides[0].episodes.map((episode) => [episode.index, episode]));
const entries = matches.map(([index, b, by]) => ({ a: first.get(index), b, by })).filter(({ a }) => a);
takeMarks(page.sides[0].marks);
takeMarks(source.marks());
const state = {
  view: "gallery", episode: entries.length ? entries[0].a.index : 0, t: 0, playing: false, speed: page.speed,
  show: { trails: true, discs: false, follow: false, overlay: Boolean(page.pairs) },
  selected: new Set(), band: false, panel: store("panel") === "true", missing: null,
  filter: { text: "", scenario: "", outcomes: new Set(), fields: new Map(), sort: page.pairs ? "apart" : "score" },
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
  Object.assign(state, change, { playing: false, missing: null });
  if (from !== state.view) { try { history.pushState(null, "", location.hash || "#"); } catch { /* same place */ } scrollTo(0, 0); }
  remember();
  render();
}

function arrive() {
  const asked = new URLSearchParams(location.hash.slice(1)), index = Number(asked.get("e"));
  state.playing = false;
  state.missing = asked.has("e") && !first.has(index) ? absent(asked.get("e"), index) : null;
  if (asked.has("e") && first.has(index)) Object.assign(state, { view: "player", episode: index, t: Math.max(0, Number(asked.get("t")) || 0) });
  else state.view = asked.has("dataset") ? "dataset" : "gallery";
  render();
}

// Why a link leads to no episode of this page.
function absent(text, index) {
  const [side] = page.sides, total = side.episodes_total;
  if (!Number.isInteger(index) || index < 0 || index >= total) return `The link asks for episode “${text}”; this dataset has episodes 0 to ${total - 1}.`;
  return `Episode ${index} is not in this page, which holds ${entries.length.toLocaleString("en")} of ${total.toLocaleString("en")} episodes. To see it: trajstore play ${side.reference || "REF"} --episode ${index}`;
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
  tally();
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

const KEYS = [["space", "play or pause; in the gallery, select"], ["← →", "one step; with shift, ten; in the gallery, from card to card"], ["home end", "first or last step"], ["n p", "next or previous anomaly, on to the next episode"], ["j k", "next or previous episode"], ["+ −", "faster or slower"], ["v", "choose the channels that are drawn"], ["t d f", "trails, personal space, follow the agent"], ["o", "both agents in each view of a comparison"],
  ["y x", "keep or exclude: the selection, the card in focus, or the episode"], ["l w", "tags, note"], ["a", "select all that is shown; escape clears"], ["u", "undo the last mark"], ["s", "download the marks"], ["c", "copy a link to this step"], ["g", "gallery"], ["i", "dataset: statistics, replay, provenance"], ["h", "histograms and filters of every field"], ["/", "search"], ["?", "these keys"]];

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
  t: () => press("trails"), d: () => press("discs"), f: () => press("follow"), o: () => press("overlay"), c: () => press("link"), v: () => press("channels"),
  l: () => $("tags") && $("tags").focus(), w: () => $("note") && $("note").focus(), y: () => MARKING.y(subjects()), x: () => MARKING.x(subjects()),
  Home: () => { pause(); seek(0); }, End: () => { pause(); seek(live.total); },
  ArrowLeft: (event) => { pause(); seek(state.t - (event.shiftKey ? 10 : 1)); }, ArrowRight: (event) => { pause(); seek(state.t + (event.shiftKey ? 10 : 1)); },
};
const marking = (key) => () => { const them = subjects(); if (them.length) MARKING[key](them); };
const GALLERY = {
  ...Object.fromEntries(Object.keys(MARKING).map((key) => [key, marking(key)])),
  ...Object.fromEntries(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].map((key) => [key, () => walk(key)])),
  " ": () => { const node = doc.activeElement.closest(".card"); if (node) pickCard(node, false, !state.selected.has(node.entry.a.index)); },
  a: () => select(filtered().map(({ a }) => a.index)),
};

function anywhere(key) {
  if (key === "?") help();
  else if (key === "Escape" && state.view === "gallery") select([]);
  else if (key === "g" || key === "Escape") go({ view: "gallery" });
  else if (key === "i") go({ view: "dataset" });
  else if (key === "u") undo();
  else if (key === "s") { if (marks.size && !source.writes) download(); }
  else if (key === "h") { if (state.view !== "gallery") { state.panel = true; go({ view: "gallery" }); } else press("fields"); }
  else if (key === "/") { if (state.view !== "gallery") go({ view: "gallery" }); $("search").focus(); }
  else return false;
  return true;
}

doc.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || doc.querySelector("dialog[open]:not(#keys)")) return;
  const { target, key } = event, closed = target.closest("dialog:not([open])"); // keeps the focus until the next frame
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && target.type !== "checkbox" && !closed) { if (key === "Escape") { event.preventDefault(); target.blur(); } return; }
  if ($("keys").open) { if (key === "?") $("keys").close(); return; }
  // A control that was reached by keyboard does what its own keys say.
  if (key === " " && target.matches("button:focus-visible:not(.open), summary, input") && !(target.id === "play")) return;
  if (anywhere(key)) { event.preventDefault(); return; }
  const playing = state.view === "player" && live && live.lane, action = playing ? ACTIONS[key] : state.view === "gallery" ? GALLERY[key] : null;
  if (action) { event.preventDefault(); action(event); }
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
