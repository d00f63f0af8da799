// All episodes at a glance, worst first; cards are selected by box, by dragging a frame, or all at once.

// The number on the right of a card is the one that the order is about.
function telling(a) {
  if (state.filter.sort === "low" || state.filter.sort === "high") return `return ${number(a.return)}`;
  return state.filter.sort === "close" && a.min_clearance !== null ? `${number(a.min_clearance)} m` : count(a.steps, "step");
}

const said = (outcome) => el("span", { class: "out", vars: { "--c": outcomeColour(outcome) } }, outcome ? plain(outcome) : "–");

function card(entry, watch) {
  const { a, b } = entry, canvas = el("canvas", { "aria-hidden": "true" });
  const badge = a.error ? "unreadable" : a.replay && !a.replay.equal ? "replay differs" : a.score > 0 ? `▲ ${points(a.score)}` : null;
  const box = el("input", { type: "checkbox", class: "tick", tabindex: -1, "aria-label": `Select episode ${a.index}`, onclick: (event) => { event.stopPropagation(); pickCard(node, event.shiftKey, box.checked); } });
  const node = el("article", { class: "card", "data-episode": a.index },
    el("button", { class: "open", type: "button", tabindex: -1, "aria-label": `Episode ${a.index}, ${plain(a.scenario || "")} ${plain(a.outcome || "")}`, onclick: () => go({ view: "player", episode: a.index, t: 0 }) },
      el("div", { class: "thumb" }, canvas, badge && el("span", { class: `badge ${badge[0] === "▲" ? level(a.score) : "l3"}` }, badge)),
      el("div", { class: "marks" }, a.anomalies.filter((found) => found.last - found.first < a.steps - 1 || a.steps === 1).slice(0, 60).map((found) => el("i", { vars: { "--c": `var(--${tone(found.score)})`, left: `${found.first / a.steps * 100}%`, width: `${(found.last - found.first + 1) / a.steps * 100}%` } }))),
      el("div", { class: "meta" }, el("div", { class: "top" }, el("span", { class: "no" }, `#${a.index}`), el("span", { class: "scn", title: a.scenario }, plain(a.scenario || ""))),
        el("div", { class: "sub" }, b ? el("span", {}, said(a.outcome), " · ", said(b.outcome)) : said(a.outcome), el("span", { class: "last", hidden: Boolean(b) }, telling(a))), el("div", { class: "signs" }))), box);
  Object.assign(node, { entry, canvas, box });
  watch.observe(node);
  node.addEventListener("pointerenter", () => preview(node));
  return node;
}

// What can change on a card: its marks, whether it is selected.
function dress(node) {
  const { a } = node.entry, picked = state.selected.has(a.index);
  node.querySelector(".signs").replaceChildren(...signs(a).flat().filter(Boolean));
  node.querySelector(".last").textContent = telling(a);
  node.classList.toggle("excluded", markOf(a).mark === "exclude");
  node.classList.toggle("kept", markOf(a).mark === "keep");
  node.classList.toggle("picked", picked);
  node.box.checked = picked;
}

async function thumb(node, t = null) {
  const { a, b } = node.entry;
  if (a.error) return;
  const data = await unpack(0, a), [view] = hasScene(data) ? [] : node.films || (node.films = await filmsOf(0, a));
  if (!view) { drawThumb(node.canvas, 0, a, data, t, b ? await unpack(1, b) : null); return; }
  const i = view.film.at(t === null ? a.steps / 2 : t);
  await view.film.load(i, t === null);
  const bitmap = view.film.ready.get(i), { g, width, height } = surface(node.canvas);
  if (!bitmap) return;
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  g.imageSmoothingEnabled = scale < 3;
  g.drawImage(bitmap, (width - bitmap.width * scale) / 2, (height - bitmap.height * scale) / 2, bitmap.width * scale, bitmap.height * scale);
  view.film.trim(i);
}

// While the pointer rests on a card, its episode plays in the thumbnail.
async function preview(node) {
  if (node.entry.a.error || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const data = await unpack(0, node.entry.a), start = performance.now(), pace = Math.max(12, 3000 / data.T);
  const frame = async (now) => {
    if (!node.isConnected || !node.matches(":hover") || state.band) { if (node.isConnected) thumb(node); return; }
    await thumb(node, Math.floor((now - start) / pace) % (data.T + 1));
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

const SLICE = 240;
let cards = new Map(), anchor = null;

function select(indices) { state.selected = new Set(indices); cards.forEach(dress); tally(); }

// With shift, all from the last one to this one.
function pickCard(node, range, on) {
  const all = [...$("gallery").querySelectorAll(".card")], from = range && anchor ? all.indexOf(anchor) : -1, to = all.indexOf(node);
  for (const one of from < 0 ? [node] : all.slice(Math.min(from, to), Math.max(from, to) + 1)) if (on) state.selected.add(one.entry.a.index); else state.selected.delete(one.entry.a.index);
  anchor = node;
  select(state.selected);
}

function gallery() {
  const grid = el("div", { class: "grid", id: "gallery" }), chips = el("div"), bar = filterBar(() => refresh());
  cards = new Map();
  let panel = null;
  const watch = new IntersectionObserver((seen) => seen.forEach((item) => { if (item.isIntersecting) { watch.unobserve(item.target); thumb(item.target); } }), { rootMargin: "300px" });
  // Cards are made as the reader comes near their place.
  let rest = [], many = SLICE;
  const foot = el("div", { class: "foot" }), more = (count) => {
    const some = rest.splice(0, count).map((entry) => { if (!cards.has(entry)) cards.set(entry, card(entry, watch)); return cards.get(entry); });
    grid.append(...some);
    some.forEach(dress);
    if (rest.length) { grid.append(foot); near.unobserve(foot); near.observe(foot); } else foot.remove();
  };
  const near = new IntersectionObserver(([seen]) => { if (seen.isIntersecting && rest.length) { many += SLICE; more(SLICE); } }, { rootMargin: "900px" });
  const refresh = () => {
    const shown = filtered();
    chips.replaceChildren(...[chipsOf(refresh)].filter(Boolean));
    if (state.panel && !panel) { panel = panelOf(refresh); chips.after(panel); }
    if (panel) panel.hidden = !state.panel;
    if (state.panel) panel.update(shown);
    rest = [...shown];
    grid.replaceChildren();
    more(many);
    const seen = new Set(shown.map(({ a }) => a.index));
    select([...state.selected].filter((index) => seen.has(index)));
    if (!shown.length) grid.append(el("p", { class: "empty" }, "No episode fits these filters."));
    roam(grid.querySelector(`.card[data-episode="${state.episode}"] .open`) || grid.querySelector(".open"));
    $("shown").textContent = `${shown.length.toLocaleString("en")} of ${count(entries.length, page.pairs ? "pair" : "episode")}`;
  };
  $("main").replaceChildren(...notices(), bar, chips, grid);
  refresh();
  band(grid);
  marked = () => { if (state.panel || state.filter.fields.has("mark") || state.filter.fields.has("tags") || state.filter.text) { const at = doc.activeElement && doc.activeElement.closest(".card"); refresh(); if (at && at.isConnected) at.querySelector(".open").focus(); } else cards.forEach(dress); };
  redraw = () => cards.forEach((node) => { if (node.isConnected) thumb(node); });
}

// One card at a time can be reached with tab; arrows go on from there.
function roam(node) {
  $("main").querySelectorAll(".open[tabindex='0']").forEach((other) => { other.tabIndex = -1; });
  if (node) node.tabIndex = 0;
}

function walk(key) {
  const all = [...doc.querySelectorAll(".card .open")], here = all.indexOf(doc.activeElement.closest(".open"));
  if (!all.length) return;
  const across = Math.max(1, all.findIndex((node) => node.offsetParent && node.parentElement.offsetTop !== all[0].parentElement.offsetTop));
  const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key];
  const next = all[here < 0 ? 0 : clamp(here + way, 0, all.length - 1)];
  roam(next);
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

// A frame drawn with the mouse selects the cards that it touches; with shift, they are added.
function band(grid) {
  let start = null, frame = null, before = [];
  const at = (event) => [event.pageX, event.pageY];
  grid.addEventListener("pointerdown", (event) => { if (event.button || event.pointerType !== "mouse" || event.target.closest("input")) return; start = at(event); before = event.shiftKey ? [...state.selected] : []; });
  const move = (event) => {
    if (!start || !grid.isConnected) { start = null; return; }
    const [x, y] = at(event), [u, v] = start;
    if (!frame && Math.hypot(x - u, y - v) < 8) return;
    if (!frame) { frame = el("div", { class: "band" }); doc.body.append(frame); state.band = true; }
    const box = { left: Math.min(x, u), top: Math.min(y, v), right: Math.max(x, u), bottom: Math.max(y, v) };
    Object.assign(frame.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.right - box.left}px`, height: `${box.bottom - box.top}px` });
    const touched = [...grid.querySelectorAll(".card")].filter((node) => { const r = node.getBoundingClientRect(); return r.left + scrollX < box.right && r.right + scrollX > box.left && r.top + scrollY < box.bottom && r.bottom + scrollY > box.top; });
    select([...before, ...touched.map((node) => node.entry.a.index)]);
    event.preventDefault();
  };
  const end = () => {
    if (frame) { frame.remove(); addEventListener("click", (event) => { event.stopPropagation(); event.preventDefault(); }, { capture: true, once: true }); setTimeout(() => { state.band = false; }, 0); }
    start = frame = null;
  };
  grid.addEventListener("dragstart", (event) => event.preventDefault());
  state.band = false;
  if (band.off) band.off();
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
  band.off = () => { removeEventListener("pointermove", move); removeEventListener("pointerup", end); };
}

// What is wrong stands out, a line each; what is only worth knowing shares one box, closed if it is long.
function notices() {
  const all = page.sides.flatMap((side) => side.notices.map(([kind, text]) => ({ kind, text: page.sides.length > 1 && kind ? `${side.name} ${side.version}: ${text}` : text })));
  const bad = [...(state.missing === null ? [] : [state.missing]), ...all.filter(({ kind }) => kind).map(({ text }) => text)], mild = all.filter(({ kind }) => !kind).map(({ text }) => text), out = unique(page.sides.flatMap((side) => side.left_out));
  const list = (texts) => el("ul", {}, texts.map((text) => el("li", {}, text))), words = [mild.length && mild[0], out.length && `${out.length === 1 ? "Something is" : `${out.length} things are`} not in this page`].filter(Boolean);
  return [...bad.map((text) => el("p", { class: "notice bad", role: "alert" }, text)), ...(words.length ? [el("details", { class: "notice", id: "notes" }, el("summary", {}, words.join(" · ")), list([...mild.slice(1), ...out]))] : [])];
}
