// One episode, or a pair, played under one time line.
let live = null;

const tool = (label, title, onclick, props = {}) => el("button", { class: "tool", type: "button", title, "aria-label": title, onclick, ...props }, label);
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 10];

function sidesOf(entry) {
  return [[0, entry.a], [1, entry.b]].filter(([, episode]) => episode).map(([side, episode]) => ({ side, episode, colour: side ? css.b : css.agent }));
}

async function player(entry) {
  const token = {}, shown = sidesOf(entry), total = Math.max(...shown.map(({ episode }) => episode.steps));
  live = token;
  for (const item of shown) item.data = item.episode.error ? { T: item.episode.steps, at: {} } : await unpack(item.side, item.episode);
  if (live !== token || state.view !== "player") return;
  live = { entry, shown, total, views: shown.map((item) => viewOf(item)) };
  $("main").replaceChildren(...notices().filter((node) => node.classList.contains("bad")), el("div", { class: "player" }, listOf(), stageOf(), sideOf()));
  const current = doc.querySelector(".list [aria-current=true]");
  if (current) current.scrollIntoView({ block: "nearest" });
  redraw = () => { shown.forEach((item) => { item.colour = item.side ? css.b : css.agent; }); show(); };
  seek(state.t);
}

function viewOf(item) {
  const { episode, data, side } = item, tag = page.sides.length > 1 && el("span", { class: "tag" }, `${page.sides[side].name} ${page.sides[side].version} #${episode.index}`);
  const alarm = el("div", { class: "alarm", role: "status" });
  if (episode.error) return { node: el("div", { class: "view" }, el("div", { class: "none bad" }, episode.error), tag) };
  if (hasScene(data)) { const canvas = el("canvas", { id: `scene${side}`, role: "img", "aria-label": `Episode ${episode.index} seen from above` }); return { node: el("div", { class: "view" }, canvas, tag, alarm), canvas, alarm }; }
  if (episode.frames) { const image = el("img", { alt: `Frame of episode ${episode.index}` }); return { node: el("div", { class: "view" }, image, tag, alarm), image, alarm, frames: JSON.parse($(`f${side}-${episode.index}`).textContent) }; }
  return { node: null, alarm };
}

function listOf() {
  const rows = filtered().map(({ a }) => el("button", { type: "button", "aria-current": String(a.index === live.entry.a.index), onclick: () => go({ episode: a.index, t: 0 }) }, el("span", { class: "no" }, `#${a.index}`), el("span", { class: "scn" }, plain(a.scenario || "")), el("span", { class: `sc ${level(a.score)}` }, a.score > 0 ? points(a.score) : ""), said(a.outcome)));
  return el("aside", { class: "panel list", "aria-label": "Episodes" }, rows);
}

function chartsOf() {
  const seen = new Set();
  return live.shown.flatMap(({ side, data }) => page.sides[side].charts.filter((chart) => data.at[chart.channel] && !seen.has(chart.label) && seen.add(chart.label)));
}

function stageOf() {
  const { entry, shown, views, total } = live, episode = entry.a;
  live.charts = chartsOf();
  live.clock = el("span", { class: "clock", id: "clock" });
  live.playing = tool(icon("play"), "Play or pause (space)", toggle, { id: "play", class: "tool play" });
  const onoff = (key, words, title) => tool(words, title, (event) => { state.show[key] = !state.show[key]; event.currentTarget.setAttribute("aria-pressed", String(state.show[key])); show(); }, { id: key, "aria-pressed": String(state.show[key]) });
  const speed = el("select", { class: "field", id: "speed", "aria-label": "Speed", onchange: (event) => { state.speed = Number(event.target.value); } }, unique([...SPEEDS, state.speed]).sort((a, b) => a - b).map((value) => el("option", { value, selected: value === state.speed }, `${value}×`)));
  const scene = shown.some(({ data }) => hasScene(data));
  live.knob = el("div", { class: "knob" }); live.fill = el("div", { class: "fill" });
  live.lane = el("div", { class: "lane", id: "lane", role: "slider", tabindex: 0, "aria-label": "Step", "aria-valuemin": 0, "aria-valuemax": total }, el("div", { class: "rail" }), live.fill, marksOf(), live.knob);
  live.canvas = el("canvas", { id: "charts", role: "img", "aria-label": live.charts.map((chart) => chart.label).join(", ") });
  const charts = el("div", { class: "charts", vars: { height: `${Math.max(1, live.charts.length) * (views[0].node ? 68 : 92)}px` } }, live.canvas);
  drag(live.lane); drag(charts);
  const pictures = views.filter((view) => view.node).map((view) => view.node);
  return el("section", { class: "panel stage" },
    el("div", { class: "title" }, el("h1", {}, `Episode ${episode.index}`), el("span", { class: "scn" }, plain(episode.scenario || "")), said(episode.outcome), entry.b && said(entry.b.outcome),
      el("span", { class: "end" }, tool(icon("up"), "Previous episode (k)", () => step(-1)), tool(icon("down"), "Next episode (j)", () => step(1)), tool(icon("link"), "Copy a link to this step (c)", copy, { id: "link" }))),
    pictures.length ? el("div", { class: `views ${pictures.length > 1 ? "two" : ""}` }, pictures) : null,
    el("div", { class: "transport" }, tool(icon("back"), "Previous anomaly (p)", () => hop(-1), { id: "before" }), live.playing, tool(icon("next"), "Next anomaly (n)", () => hop(1), { id: "after" }), live.clock, el("span", { class: "spring" }), speed,
      scene && onoff("trails", "Trails", "Trails (t)"), scene && onoff("discs", "Space", "Personal space: 0.45 m and 1.2 m (d)"), scene && onoff("follow", "Follow", "Follow the agent (f)"), scene && shown.length > 1 && onoff("overlay", "Both", "Draw both agents in each view (o)")),
    el("div", { class: "line" }, live.lane, charts));
}

function marksOf() {
  return live.shown.flatMap(({ side, episode }) => episode.anomalies.filter((found) => !(found.first === 0 && found.last >= episode.steps - 1)).map((found) => el("button", { type: "button", class: `mark ${side ? "second" : ""}`, tabindex: -1, title: `${plain(found.kind)}, step ${found.first}: ${found.message}`, "data-step": found.first, vars: { "--c": `var(--${tone(found.score)})`, left: `${found.first / live.total * 100}%`, width: `${(found.last - found.first + 1) / live.total * 100}%` }, onpointerdown: (event) => event.stopPropagation(), onclick: () => seek(found.first) })));
}

function sideOf() {
  const parts = live.shown.flatMap(({ side, episode }) => [live.shown.length > 1 && el("h3", {}, `${page.sides[side].name} ${page.sides[side].version} #${episode.index}`), findBox(side, episode, seek), factBox(side, episode), replayBox(episode), aboutBox(side, episode)]);
  return el("aside", { class: "side", "aria-label": "About this episode" }, parts.filter(Boolean));
}

function drag(node) {
  const at = (event) => { const box = node.getBoundingClientRect(); seek(Math.round((event.clientX - box.left) / box.width * live.total)); };
  node.addEventListener("pointerdown", (event) => { if (event.button) return; pause(); node.setPointerCapture(event.pointerId); at(event); });
  node.addEventListener("pointermove", (event) => { if (node.hasPointerCapture(event.pointerId)) at(event); });
}

function seek(t) {
  state.t = clamp(Math.round(t), 0, live.total);
  show();
  remember();
}

let due = 0;
function show() {
  if (!due) due = requestAnimationFrame(() => { due = 0; if (state.view === "player" && live && live.lane) paint(); });
}

function paint() {
  const { shown, views, total, entry } = live, t = state.t, dt = page.sides[0].dt;
  shown.forEach((item, i) => {
    const view = views[i], rival = shown.length > 1 && state.show.overlay && shown[1 - i];
    if (view.canvas) drawScene(view.canvas, item.side, item.episode, item.data, t, state.show, item.colour, rival && hasScene(rival.data) ? rival : null);
    if (view.image) view.image.src = view.frames[clamp(Math.floor(t / item.episode.frames.every), 0, view.frames.length - 1)];
    if (!view.alarm) return;
    const now = activeAt(item.episode, t).filter((found) => found.last - found.first < item.episode.steps - 1);
    view.alarm.textContent = now.length ? `${plain(now[0].kind)}: ${now[0].message}` : "";
  });
  if (live.charts.length) drawCharts(live.canvas, live.charts, shown, t, total);
  const share = `${total ? t / total * 100 : 0}%`;
  live.knob.style.left = share; live.fill.style.width = share;
  live.lane.setAttribute("aria-valuenow", t);
  live.clock.replaceChildren(`step ${t}`, el("span", {}, ` / ${total}${dt ? `  ·  ${(t * dt).toFixed(1)} s` : ""}`));
  doc.querySelectorAll(".finds li").forEach((node) => node.classList.toggle("now", t >= node.found.first && t <= node.found.last));
  if (live.was !== state.playing) { live.was = state.playing; live.playing.replaceChildren(icon(state.playing ? "pause" : "play")); }
  doc.title = `#${entry.a.index} step ${t} · ${page.title}`;
}

function toggle() { if (state.playing) pause(); else play(); }
function pause() { state.playing = false; show(); }

function play() {
  if (state.t >= live.total) state.t = 0;
  state.playing = true;
  const own = live, rate = 1 / (page.sides[0].dt || 0.1);
  let last = performance.now(), rest = 0;
  const frame = (now) => {
    if (!state.playing || live !== own) return;
    rest += (now - last) / 1000 * rate * state.speed;
    last = now;
    const whole = Math.floor(rest);
    rest -= whole;
    if (whole) { state.t = Math.min(live.total, state.t + whole); paint(); }
    if (state.t >= live.total) { pause(); remember(); return; }
    requestAnimationFrame(frame);
  };
  show();
  requestAnimationFrame(frame);
}

// To the next mark of this episode; past its last one, to the next episode that has any.
function hop(way) {
  const marks = live.shown.flatMap(({ episode }) => episode.anomalies.map((found) => found.first)).sort((a, b) => way * (a - b)), next = marks.find((first) => way * (first - state.t) > 0);
  if (next !== undefined) { pause(); seek(next); return; }
  const all = filtered(), here = all.indexOf(live.entry), ahead = way > 0 ? all.slice(here + 1) : all.slice(0, Math.max(0, here)).reverse(), other = ahead.find((entry) => entry.a.anomalies.length);
  if (!other) return;
  const steps = other.a.anomalies.map((found) => found.first);
  go({ episode: other.a.index, t: way > 0 ? Math.min(...steps) : Math.max(...steps) });
}

function step(way) {
  const all = filtered(), at = all.findIndex((entry) => entry === live.entry), next = all[at < 0 ? 0 : at + way];
  if (next) go({ episode: next.a.index, t: 0 });
}

function copy() {
  remember();
  const done = () => { const node = $("link"); node.setAttribute("aria-pressed", "true"); setTimeout(() => node.removeAttribute("aria-pressed"), 900); };
  if (navigator.clipboard) navigator.clipboard.writeText(location.href).then(done, done); else done();
}
