// What a curator says of episodes: keep or exclude, tags, a note; by digest, with undo.
const marks = new Map(), done = [], NONE = { mark: null, tags: [], note: "" };
let unsaved = false, marked = () => {};

const markOf = (episode) => marks.get(episode.digest) || NONE;
const isPlain = ({ mark, tags, note }) => !mark && !tags.length && !note;
const sameMark = (one, other) => one.mark === other.mark && one.note === other.note && one.tags.join("\n") === other.tags.join("\n");

function takeMarks(all) {
  for (const one of Array.isArray(all) ? all : []) {
    if (!one || typeof one.episode !== "string") continue;
    const tags = Array.isArray(one.tags) ? one.tags.filter((tag) => typeof tag === "string") : [];
    put(one.episode, { mark: one.mark === "keep" || one.mark === "exclude" ? one.mark : null, tags: unique(tags), note: typeof one.note === "string" ? one.note : "" });
  }
}

function put(digest, mark) { if (isPlain(mark)) marks.delete(digest); else marks.set(digest, mark); }
const listed = () => [...marks].sort(([a], [b]) => a < b ? -1 : 1).map(([episode, { mark, tags, note }]) => ({ episode, mark, tags, note }));

// Change the marks of episodes; one call is one step of undo.
function remark(episodes, change) {
  const before = new Map();
  for (const { digest } of episodes) {
    if (!digest) continue;
    const was = marks.get(digest) || NONE, next = change(was);
    if (sameMark(was, next)) continue;
    if (!before.has(digest)) before.set(digest, was);
    put(digest, next);
  }
  if (!before.size) return;
  done.push(before);
  keepMarks();
}

function undo() {
  const before = done.pop();
  if (!before) return;
  for (const [digest, was] of before) put(digest, was);
  keepMarks();
}

function keepMarks() {
  unsaved = !source.save(listed());
  for (const entry of entries) entry.words = null;
  marked();
  tally();
}

// The same mark on all of them takes it away again.
const toggleMark = (episodes, mark) => { const all = episodes.every((episode) => markOf(episode).mark === mark); remark(episodes, (was) => ({ ...was, mark: all ? null : mark })); };
const tagsIn = (text) => text.split(",").map((tag) => tag.trim()).filter(Boolean);
const allTags = () => unique([...marks.values()].flatMap(({ tags }) => tags));
function changeTags(episodes, text) {
  const words = tagsIn(text), less = words.filter((word) => word[0] === "-").map((word) => word.slice(1).trim()), more = words.filter((word) => word[0] !== "-");
  remark(episodes, (was) => ({ ...was, tags: unique([...was.tags, ...more]).filter((tag) => !less.includes(tag)) }));
}

function download() {
  const side = page.sides[0], dataset = side.version ? `${side.name}@${side.version}` : side.name;
  const record = { format_version: 1, dataset, content_digest: side.provenance.content_digest, marks: listed() };
  const link = el("a", { href: URL.createObjectURL(new Blob([`${JSON.stringify(record, null, 1)}\n`], { type: "application/json" })), download: `${dataset.replace(/[^A-Za-z0-9_.-]+/g, "-")}.marks.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
}

function counts() {
  const here = entries.map(({ a }) => markOf(a)), of = (test) => here.filter(test).length;
  return { keep: of(({ mark }) => mark === "keep"), exclude: of(({ mark }) => mark === "exclude"), tagged: of(({ tags }) => tags.length), noted: of(({ note }) => note) };
}

// A question with one line of answer; Enter takes it, Escape does not.
function ask(title, words, then, value = "") {
  const dialog = $("ask"), input = el("input", { class: "field", id: "answer", list: "known-tags", "aria-label": title, value, autocomplete: "off" });
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); dialog.close(); then(input.value); } });
  dialog.replaceChildren(el("h2", {}, title), el("p", { class: "verdict" }, words), input, el("datalist", { id: "known-tags" }, allTags().map((tag) => el("option", { value: tag }))),
    el("div", { class: "row end" }, tool("Cancel", "Leave it (Escape)", () => dialog.close()), tool("Apply", "Apply (Enter)", () => { dialog.close(); then(input.value); })));
  dialog.showModal();
}

// What marks act on: the selection of the gallery, the card in focus, the episode that plays.
function subjects() {
  if (state.view === "player") return live && live.entry ? [live.entry.a] : [];
  if (state.view !== "gallery") return [];
  if (state.selected.size) return entries.filter(({ a }) => state.selected.has(a.index)).map(({ a }) => a);
  const card = doc.activeElement && doc.activeElement.closest(".card");
  return card ? [card.entry.a] : [];
}

const MARKING = {
  y: (them) => toggleMark(them, "keep"), x: (them) => toggleMark(them, "exclude"),
  l: (them) => ask(`Tags of ${count(them.length, "episode")}`, "Separated by commas; a minus before a tag takes it away.", (text) => changeTags(them, text)),
  w: (them) => ask(`Note on ${count(them.length, "episode")}`, "Replaces the note that is there; empty takes it away.", (text) => remark(them, (was) => ({ ...was, note: text.trim() })), them.length === 1 ? markOf(them[0]).note : ""),
};

// The bar at the foot: the counter, what can be done with a selection, undo and download.
function tally() {
  const bar = $("tally"), found = counts(), selected = state.view === "gallery" ? state.selected.size : 0;
  bar.hidden = !(marks.size || done.length || selected);
  doc.body.classList.toggle("marking", !bar.hidden);
  const words = [["keep", "check", "good"], ["exclude", "cross", "bad"], ["tagged", "tag", "odd"], ["noted", "note", ""]].filter(([key]) => found[key]);
  const act = (key, name, label, title) => tool([icon(name), label], title, () => MARKING[key](subjects()), { "data-do": key });
  bar.replaceChildren(...[
    selected ? el("span", { class: "count" }, el("b", {}, selected), " selected") : null,
    ...(selected ? [act("y", "check", "Keep", "Keep (y)"), act("x", "cross", "Exclude", "Exclude (x)"), act("l", "tag", "Tags", "Tags (l)"), act("w", "note", "Note", "Note (w)"), tool("Clear", "Clear the selection (Escape)", () => select([]), { id: "clear" })] : []),
    el("span", { class: "count", id: "counter", role: "status" }, words.length ? words.map(([key, name, kind]) => el("span", { class: kind }, icon(name), `${found[key]} ${key}`)) : selected ? null : "no marks"),
    tool([icon("undo"), "Undo"], "Undo the last mark (u)", undo, { id: "undo", disabled: !done.length }),
    source.writes ? null : tool([icon("save"), "Download"], "Download the marks as a file (s); trajstore review takes it", download, { id: "download", disabled: !marks.size }),
  ].filter(Boolean));
}

// Signs of a mark, for a card or a row.
function signs(episode) {
  const { mark, tags, note } = markOf(episode);
  return [mark && el("span", { class: `sign ${mark}`, title: mark }, icon(mark === "keep" ? "check" : "cross")), tags.slice(0, 3).map((tag) => el("span", { class: "sign tagged" }, tag)), tags.length > 3 && el("span", { class: "sign tagged" }, `+${tags.length - 3}`), note && el("span", { class: "sign", title: note }, icon("note"))];
}
addEventListener("beforeunload", (event) => { if (unsaved && marks.size && !source.writes) event.preventDefault(); });
