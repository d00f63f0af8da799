// What is known about an episode and about the dataset: recorded beside recomputed.
const table = (head, rows, numeric = []) => el("table", {}, el("thead", {}, el("tr", {}, head.map((word, i) => el("th", { class: numeric.includes(i) && "num", scope: "col" }, word)))), el("tbody", {}, rows));
const cells = (values, numeric = [], differs = false) => el("tr", { class: differs && "differs" }, values.map((value, i) => el("td", { class: numeric.includes(i) && "num" }, value)));
const box = (title, ...content) => el("section", { class: "panel box" }, el("h2", {}, title), ...content);

function factBox(side, episode) {
  const wrong = episode.facts.filter((fact) => fact.differs).length;
  const rows = episode.facts.map((fact) => cells([plain(fact.name), exact(fact.recorded, fact.differs), exact(fact.recomputed, fact.differs)], [1, 2], fact.differs));
  return box(["Recorded and recomputed", wrong ? el("span", { class: "chip bad" }, `${wrong} differ`) : rows.length ? el("span", { class: "chip good" }, "agree") : null], rows.length ? table(["", "recorded", "recomputed"], rows, [1, 2]) : el("p", { class: "verdict" }, "This dataset records no totals to compare."));
}

function replayWords(replay) {
  if (!replay) return [null, "not checked", "This episode was not re-simulated. `trajstore verify --replay all` does it."];
  if (replay.equal) return ["good", replay.words, "Re-simulated step by step: observations, rewards and ends are those recorded."];
  return ["bad", "differs", `First difference at step ${replay.step}, ${replay.field}: expected ${replay.expected}, got ${replay.got}.`];
}

function replayBox(episode) {
  const [kind, word, text] = replayWords(episode.replay);
  return box(["Replay", el("span", { class: `chip ${kind || ""}` }, word)], el("p", { class: `verdict ${kind === "bad" ? "bad" : ""}` }, text));
}

// Every field of the episode, and what it comes to; whoever has many of them searches.
function aboutBox(side, episode) {
  const own = page.sides[side].fields, dt = page.sides[side].dt;
  const text = (field) => field.name === "length" && dt ? `${episode.steps} (${(episode.steps * dt).toFixed(1)} s)` : `${fieldText(episode.values[field.name])}${field.unit && field.name !== "length" && field.kind !== "text" ? ` ${field.unit}` : ""}`;
  const rows = [["episode", `${episode.index}`], ...own.map((field) => [plain(field.name), text(field)]), ["digest", el("span", { class: "mono" }, episode.digest.slice(0, 16) || "–")]];
  return box("Episode", el("dl", {}, rows.map(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])));
}

// Keep or exclude, tags and a note of one episode.
function markBox(episode) {
  const { mark, tags, note } = markOf(episode), them = [episode];
  if (!episode.digest) return el("section", { class: "panel box", id: "markbox" }, el("h2", {}, "Mark"), el("p", { class: "verdict" }, "The digest of this episode cannot be read, so no mark would find it again."));
  const two = (key, name, words, value) => el("button", { class: `tool ${value}`, type: "button", "data-do": key, title: `${words} (${key})`, "aria-pressed": String(mark === value), onclick: () => MARKING[key](them) }, icon(name), words);
  const input = el("input", { class: "field", id: "tags", list: "tag-list", placeholder: "add a tag  ( l )", "aria-label": "Tags to add", autocomplete: "off", onkeydown: (event) => { if (event.key !== "Enter") return; event.preventDefault(); changeTags(them, input.value); } });
  const area = el("textarea", { class: "field", id: "note", rows: note ? 3 : 1, placeholder: "note  ( w )", "aria-label": "Note", onchange: () => remark(them, (was) => ({ ...was, note: area.value.trim() })) }, note);
  return el("section", { class: "panel box", id: "markbox" }, el("h2", {}, page.sides.length > 1 ? `Mark in ${page.sides[0].name} ${page.sides[0].version}` : "Mark"),
    el("div", { class: "row" }, two("y", "check", "Keep", "keep"), two("x", "cross", "Exclude", "exclude")),
    el("div", { class: "row tags" }, tags.map((tag) => el("button", { class: "chip odd", type: "button", title: `Take the tag ${tag} away`, "aria-label": `Take the tag ${tag} away`, onclick: () => remark(them, (was) => ({ ...was, tags: was.tags.filter((one) => one !== tag) })) }, tag, icon("cross"))), input, el("datalist", { id: "tag-list" }, allTags().map((tag) => el("option", { value: tag })))), area);
}

function findBox(side, episode, jump) {
  const items = episode.anomalies.map((found) => {
    const node = el("li", {}, el("button", { type: "button", "data-step": found.first, onclick: () => jump(found.first) }, el("i", { vars: { "--c": `var(--${tone(found.score)})` } }), el("b", {}, plain(found.kind)), el("span", { class: "at" }, found.last > found.first ? `${found.first}–${found.last}` : found.first), el("span", { class: "why" }, found.message)));
    node.found = found;
    return node;
  });
  return box(["Anomalies", items.length ? el("span", { class: `badge ${level(episode.score)}`, style: false, vars: { position: "static", "box-shadow": "none" } }, `▲ ${points(episode.score)}`) : el("span", { class: "chip good" }, "none")], items.length ? el("ul", { class: "finds" }, items) : null);
}

const tile = (value, word, kind) => el("div", { class: "panel tile" }, el("b", { class: kind }, value), el("span", {}, word));

function tiles(side) {
  const seen = side.episodes.filter((episode) => !episode.error), good = seen.filter((episode) => toned(episode.outcome) === "good").length, odd = seen.filter((episode) => episode.score > 0).length, replay = side.replay;
  const told = seen.filter((episode) => episode.outcome && !/^(terminated|truncated)$/.test(episode.outcome)), known = told.length > 0 && told.every((episode) => toned(episode.outcome) !== "odd");
  return el("div", { class: "tiles" }, tile(side.episodes_total.toLocaleString("en"), "episodes"), tile(side.steps_total.toLocaleString("en"), "steps"),
    (good > 0 || known) && tile(`${(100 * good / Math.max(1, seen.length)).toFixed(1)} %`, `reach the goal, of ${seen.length} here`), tile(`${odd}`, `of ${seen.length} with anomalies`),
    tile(replay ? `${replay.equal}/${replay.checked}` : "–", replay ? (replay.ok ? replay.words : "re-simulated equal") : "not replayed", replay && (replay.ok ? "good" : "bad")));
}

function coverage(side) {
  const by = new Map();
  for (const episode of side.episodes) { const key = episode.scenario || "–"; by.set(key, [...(by.get(key) || []), episode]); }
  const rows = [...by].sort(([one], [other]) => one < other ? -1 : 1).map(([name, all]) => {
    const outcomes = unique(all.map((episode) => episode.outcome)), share = (tones) => all.filter((episode) => toned(episode.outcome) === tones).length;
    return cells([plain(name), side.scenarios[name] ?? all.length, el("div", { class: "share", title: outcomes.map((o) => `${plain(o)} ${all.filter((episode) => episode.outcome === o).length}`).join(", ") }, ["good", "warn", "odd", "bad"].map((tones) => el("i", { vars: { "--c": `var(--${tones})`, width: `${100 * share(tones) / all.length}%` } }))), number(all.reduce((sum, episode) => sum + (episode.return ?? 0), 0) / all.length), points(Math.max(...all.map((episode) => episode.score)))], [1, 3, 4]);
  });
  return box("Scenarios", el("div", { class: "scroll" }, table(["scenario", "episodes", "outcomes", "mean return", "worst score"], rows, [1, 3, 4])));
}

// A served page has no statistics but those that were recorded.
function statistics(side) {
  const again = side.statistics.some((row) => Object.keys(row.recomputed).length), keys = ["count", "mean", "std", "min", "max"], columns = keys.flatMap((key) => again ? [key, "recomputed"] : [key]);
  const rows = side.statistics.flatMap((row) => keys.filter((key) => row.recorded[key] !== undefined || row.recomputed[key] !== undefined).length ? [cells([plain(row.field), ...keys.flatMap((key) => { const off = row.differs.includes(key), now = row.recomputed[key]; return [el("span", { class: off && "bad" }, exact(row.recorded[key], off)), ...(again ? [el("span", { class: off ? "bad" : "muted" }, now === undefined ? "" : exact(now, off))] : [])]; })], columns.map((_, i) => i + 1), row.differs.length)] : []);
  const wrong = side.statistics.filter((row) => row.differs.length).length, found = table(["field", ...columns], rows, columns.map((_, i) => i + 1));
  if (!again) return box("Statistics", el("p", { class: "verdict" }, `As recorded. \`trajstore play ${side.reference || "REF"}\` computes them again.`), el("div", { class: "scroll" }, found));
  return box(["Statistics: recorded and recomputed", rows.length ? el("span", { class: `chip ${wrong ? "bad" : "good"}` }, wrong ? `${wrong} differ` : side.whole ? "agree" : "within the recorded range") : null],
    !side.whole && el("p", { class: "verdict" }, "Recomputed over the episodes in this page only, so counts and means may differ; values outside the recorded range are red."),
    el("div", { class: "scroll wide" }, found));
}

function verdict(side) {
  const replay = side.replay;
  if (!replay) return box("Replay verification", el("p", { class: "verdict" }, "No episode of this version was re-simulated yet. `trajstore verify --replay all` re-simulates every episode from its scenario, seed and actions."));
  const good = replay.ok, first = replay.first_difference;
  return box(["Replay verification", el("span", { class: `chip ${good ? "good" : "bad"}` }, `${replay.equal}/${replay.checked}`)], el("p", { class: `verdict ${good ? "" : "bad"}` }, replay.sentence), first && first.episode !== null && el("p", {}, el("a", { href: `#e=${first.episode}&t=${first.step || 0}` }, `Go to episode ${first.episode}, step ${first.step}`)));
}

function sheet() {
  const parts = page.sides.flatMap((side) => [
    page.sides.length > 1 && el("h2", {}, `${side.name} ${side.version}`), tiles(side), verdict(side), coverage(side), statistics(side),
    box("Provenance", el("pre", { class: "provenance" }, JSON.stringify(side.provenance, null, 2))),
    side.left_out.length > 0 && box("Not in this page", side.left_out.map((text) => el("p", { class: "verdict" }, text))),
  ]);
  $("main").replaceChildren(...notices(), el("div", { class: "sheet" }, parts.filter(Boolean)));
  redraw = marked = () => {};
}
