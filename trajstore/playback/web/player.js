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
  for (const item of shown) {
    item.data = item.episode.error ? { T: item.episode.steps, at: {} } : await unpack(item.side, item.episode);
    item.films = item.episode.error ? [] : await filmsOf(item.side, item.episode);
  }
  if (live !== token || state.view !== "player") return;
  live = { entry, shown, total, views: shown.flatMap((item) => viewsOf(item)) };
  const list = listOf();
  $("main").replaceChildren(...notices().filter((node) => node.classList.contains("bad")), el("div", { class: "player" }, list, stageOf(), sideOf()));
  const current = list.querySelector("[aria-current=true]");
  if (current) list.scrollTop = current.offsetTop - list.clientHeight / 2;
  redraw = () => { shown.forEach((item) => { item.colour = item.side ? css.b : css.agent; }); live.drawn = null; show(); };
  marked = () => { const old = doc.querySelector(".list"), top = old.scrollTop, next = listOf(); old.replaceWith(next); next.scrollTop = top; $("markbox").replaceWith(markBox(entry.a)); };
  seek(state.t);
}

// The scene, then a film for each camera; what is there but not in the page says so.
function viewsOf(item) {
  const { episode, data, side, films } = item, whose = page.sides.length > 1 ? `${page.sides[side].name} ${page.sides[side].version} #${episode.index}` : "", tag = (text, more) => (whose || text) && el("span", { class: "tag" }, [whose, text].filter(Boolean).join(" · "), more && el("span", { class: "unit" }, ` ${more}`));
  if (episode.error) return [{ item, node: el("div", { class: "view" }, el("div", { class: "none bad" }, episode.error), tag("")) }];
  const alarm = el("div", { class: "alarm", role: "status" }), found = [];
  if (hasScene(data)) { const canvas = el("canvas", { id: `scene${side}`, role: "img", "aria-label": `Episode ${episode.index} seen from above` }); found.push({ item, canvas, scene: true, node: el("div", { class: "view" }, canvas, tag("")) }); }
  films.forEach(({ name, words, film, ratio }, i) => { const canvas = el("canvas", { class: "film", id: `film${side}-${i}`, role: "img", "aria-label": `${name} of episode ${episode.index}` }), lacks = el("div", { class: "none", role: "status" }); found.push({ item, canvas, film, ratio, lacks, node: el("div", { class: "view" }, canvas, lacks, tag(name, words)) }); });
  if (episode.film && episode.film.why) found.push({ item, node: el("div", { class: "view short" }, el("div", { class: "none" }, episode.film.why), tag("film")) });
  if (found.length) { found[0].alarm = alarm; found[0].node.append(alarm); }
  return found;
}

// The list holds the episodes around the one that plays, so that ten thousand are as quick as ten.
const NEAR = 150;
function listOf() {
  const all = filtered(), at = all.indexOf(live.entry), some = all.slice(Math.max(0, at - NEAR), Math.max(0, at) + NEAR);
  const rows = some.map(({ a }) => el("button", { type: "button", class: markOf(a).mark === "exclude" ? "excluded" : "", "aria-current": String(a.index === live.entry.a.index), onclick: () => go({ episode: a.index, t: 0 }) }, el("span", { class: "no" }, `#${a.index}`), el("span", { class: "scn" }, plain(a.scenario || "")), el("span", { class: `sc ${level(a.score)}` }, a.score > 0 ? points(a.score) : ""), said(a.outcome), el("span", { class: "signs" }, signs(a))));
  return el("aside", { class: "panel list", "aria-label": "Episodes" }, rows);
}

// Charts in the page are drawn at once; those that are off at first are unpacked when they are picked.
function rechart() {
  const { shown } = live;
  live.charts = chartsOf(shown);
  for (const item of shown) if (!item.episode.error && live.charts.some((chart) => isExtra(item.side, chart))) unpackMore(item.side, item.episode, item.data).then((there) => { item.lacks = !there; live.drawn = null; show(); });
  live.canvas.setAttribute("aria-label", live.charts.map((chart) => chart.label).join(", "));
  const tall = live.charts.length > 6 ? 54 : live.views.length ? 68 : 92;
  live.strips.style.height = `${Math.max(1, live.charts.length) * tall}px`;
  const lacking = shown.filter(({ episode }) => !episode.error).length && live.charts.length === 0;
  live.strips.hidden = Boolean(lacking);
  live.drawn = null;
  show();
}

function stageOf() {
  const { entry, shown, views, total } = live, episode = entry.a;
  live.clock = el("span", { class: "clock", id: "clock" });
  live.playing = tool(icon("play"), "Play or pause (space)", toggle, { id: "play", class: "tool play" });
  const onoff = (key, words, title) => tool(words, title, (event) => { state.show[key] = !state.show[key]; event.currentTarget.setAttribute("aria-pressed", String(state.show[key])); show(); }, { id: key, "aria-pressed": String(state.show[key]) });
  const speed = el("select", { class: "field", id: "speed", "aria-label": "Speed", onchange: (event) => { state.speed = Number(event.target.value); } }, unique([...SPEEDS, state.speed]).sort((a, b) => a - b).map((value) => el("option", { value, selected: value === state.speed }, `${value}×`)));
  const scene = shown.some(({ data }) => hasScene(data));
  live.knob = el("div", { class: "knob" }); live.fill = el("div", { class: "fill" });
  live.lane = el("div", { class: "lane", id: "lane", role: "slider", tabindex: 0, "aria-label": "Step", "aria-valuemin": 0, "aria-valuemax": total }, el("div", { class: "rail" }), live.fill, marksOf(), live.knob);
  live.canvas = el("canvas", { id: "charts", role: "img" });
  live.cursor = el("div", { class: "cursor" }); live.over = el("div", { class: "over", "aria-hidden": "true" });
  live.strips = el("div", { class: "charts" }, live.canvas, live.over, live.cursor);
  drag(live.lane); drag(live.strips);
  rechart();
  const channels = tool(scene ? icon("list") : [icon("list"), "Channels"], "Choose what is drawn (v)", () => picker(rechart), { id: "channels", "aria-haspopup": "dialog" });
  return el("section", { class: "panel stage" },
    el("div", { class: "title" }, el("h1", {}, `Episode ${episode.index}`), entry.by && el("span", { class: "chip" }, `paired by ${entry.by}`), el("span", { class: "scn" }, plain(episode.scenario || "")), said(episode.outcome), entry.b && said(entry.b.outcome),
      el("span", { class: "end" }, scene && entry.b && channels, tool(icon("up"), "Previous episode (k)", () => step(-1)), tool(icon("down"), "Next episode (j)", () => step(1)), tool(icon("link"), "Copy a link to this step (c)", copy, { id: "link" }))),
    views.length ? el("div", { class: `views ${views.length > 1 ? "two" : ""} ${views.every((view) => view.film) ? "reels" : ""}`, vars: { "--n": Math.min(views.length, views.length === 4 ? 2 : 3), "--ratio": Math.min(...views.map((view) => view.ratio || 4 / 3)) } }, views.map((view) => view.node)) : null,
    el("div", { class: "transport" }, tool(icon("back"), "Previous anomaly (p)", () => hop(-1), { id: "before" }), live.playing, tool(icon("next"), "Next anomaly (n)", () => hop(1), { id: "after" }), live.clock, el("span", { class: "spring" }), speed,
      scene && onoff("trails", "Trails", "Trails (t)"), scene && onoff("discs", "Space", "Personal space: 0.45 m and 1.2 m (d)"), scene && onoff("follow", "Follow", "Follow the agent (f)"), scene && shown.length > 1 && onoff("overlay", "Both", "Draw both agents in each view (o)"), !(scene && entry.b) && channels),
    el("div", { class: "line" }, live.lane, live.strips));
}

function marksOf() {
  return live.shown.flatMap(({ side, episode }) => episode.anomalies.filter((found) => !(found.first === 0 && found.last >= episode.steps - 1)).map((found) => el("button", { type: "button", class: `mark ${side ? "second" : ""}`, tabindex: -1, title: `${plain(found.kind)}, step ${found.first}: ${found.message}`, "data-step": found.first, vars: { "--c": `var(--${tone(found.score)})`, left: `${found.first / live.total * 100}%`, width: `${(found.last - found.first + 1) / live.total * 100}%` }, onpointerdown: (event) => event.stopPropagation(), onclick: () => seek(found.first) })));
}

function sideOf() {
  const parts = live.shown.flatMap(({ side, episode }) => [live.shown.length > 1 && el("h3", {}, `${page.sides[side].name} ${page.sides[side].version} #${episode.index}`), side === 0 && markBox(episode), findBox(side, episode, seek), aboutBox(side, episode), factBox(side, episode), replayBox(episode)]);
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
  for (const view of views) {
    const { item } = view, rival = shown.length > 1 && state.show.overlay && shown[1 - shown.indexOf(item)];
    if (view.scene) drawScene(view.canvas, item.side, item.episode, item.data, t, state.show, item.colour, rival && hasScene(rival.data) ? rival : null);
    if (view.film) drawFilm(view, t);
    if (!view.alarm) continue;
    const now = activeAt(item.episode, t).filter((found) => found.last - found.first < item.episode.steps - 1);
    view.alarm.textContent = now.length ? `${plain(now[0].kind)}: ${now[0].message}` : "";
  }
  if (!live.drawn) {
    live.drawn = live.charts.length ? drawCharts(live.canvas, live.charts, shown, total) : [];
    live.over.replaceChildren(...live.drawn.flatMap(({ moving }) => moving.flatMap(({ value, dot }) => [value, dot])));
  }
  moveCharts(live.cursor, live.drawn, t);
  const share = `${total ? t / total * 100 : 0}%`;
  live.knob.style.left = share; live.fill.style.width = share;
  live.lane.setAttribute("aria-valuenow", t);
  live.clock.replaceChildren(`step ${t}`, el("span", {}, ` / ${total}${dt ? `  ·  ${(t * dt).toFixed(1)} s` : ""}`));
  doc.querySelectorAll(".finds li").forEach((node) => node.classList.toggle("now", t >= node.found.first && t <= node.found.last));
  if (live.was !== state.playing) { live.was = state.playing; live.playing.replaceChildren(icon(state.playing ? "pause" : "play")); }
  if (!state.playing) doc.title = `#${entry.a.index} step ${t} · ${page.title}`;
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
