// Where episodes come from and where marks go, under a server: what is looked at is fetched, and marks
// are written at once by whoever has the token that the command printed.
const page = JSON.parse($("payload").textContent);
{
  const { episodes: columns, fields } = JSON.parse($("table").textContent), [side] = page.sides, names = Object.entries(columns);
  const rest = { facts: [], goal: null, walls: [], replay: null, error: null, frames: null, film: null };
  side.fields = fields;
  side.episodes = columns.index.map((index, row) => { const one = { ...rest }; for (const [name, values] of names) one[name] = values[row]; return one; });
}
const AT = page.at, held = new Map(), strips = new Map();
const rowOf = new Map(page.sides[0].episodes.map((episode) => [episode.index, episode]));

// The token comes behind the # of the printed link, is kept for this address, and is not shown again.
const token = (() => {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.has("token")) {
    store("token", asked.get("token"));
    asked.delete("token");
    history.replaceState(null, "", `#${asked}`);
  }
  return store("token");
})();

async function get(path) {
  const answer = await fetch(`${AT}/${path}`, { credentials: "omit" });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || answer.statusText);
  return answer;
}

// An episode is fetched once while it is among those looked at last; its row is completed in place.
function episodeOf(index) {
  if (!held.has(index)) {
    held.set(index, get(`episodes/${index}`).then((answer) => answer.json()).then((found) => { const { anomalies, ...row } = found.row; Object.assign(rowOf.get(index), row, { anomalies }); return found; })
      .catch((error) => { held.delete(index); rowOf.get(index).error = `Not loaded: ${error.message}`; return { numbers: null, more: null }; }));
    if (held.size > 40) held.delete(held.keys().next().value);
  }
  return held.get(index);
}

// Pictures come a few at a time: their sizes, four bytes each, then they themselves.
function someOf(path, first, alone) {
  const key = `${path}/${first}${alone ? "?alone" : ""}`;
  if (!strips.has(key)) {
    strips.set(key, get(key).then((answer) => answer.arrayBuffer()).then((data) => {
      const view = new DataView(data), count = view.getUint32(0, true), found = [];
      let at = 4 + 4 * count;
      for (let i = 0; i < count; i++) { const size = view.getUint32(4 + 4 * i, true); found.push(new Blob([data.slice(at, at + size)])); at += size; }
      return found;
    }).catch((error) => { strips.delete(key); throw error; }));
    if (strips.size > 24) strips.delete(strips.keys().next().value);
  }
  return strips.get(key);
}

const source = {
  writes: Boolean(token),
  numbers: async (side, index) => (await episodeOf(index)).numbers,
  more: async (side, index) => (await episodeOf(index)).more,
  films: async (side, index) => {
    await episodeOf(index);
    const { steps, film } = rowOf.get(index), found = {};
    ((film && film.cameras) || []).forEach(({ name, frames }, camera) => { found[name] = Array.from({ length: frames || steps }, (_, i) => [`episodes/${index}/cameras/${camera}`, i]); });
    return { cameras: found, rendered: [] };
  },
  picture: async ([path, i], alone) => alone ? (await someOf(path, i, true))[0] : (await someOf(path, i - i % page.strip))[i % page.strip],
  marks() { try { return token ? null : JSON.parse(store(`marks.${page.sides[0].provenance.content_digest}`) || "null"); } catch { return null; } },
  save(all) { if (!token) return store(`marks.${page.sides[0].provenance.content_digest}`, JSON.stringify(all)); sending.want(all); return true; },
};

// Only what changed is sent, so that nobody's marks are written over; one message at a time.
const sending = {
  known: new Map((page.sides[0].marks || []).map((one) => [one.episode, one])), wanted: null, busy: false, wrong: "",
  want(all) { this.wanted = new Map(all.map((one) => [one.episode, one])); this.next(); },
  changes() {
    const plainly = (episode) => ({ episode, mark: null, tags: [], note: "" }), same = (a, b) => JSON.stringify([a.mark, a.tags, a.note]) === JSON.stringify([b.mark, b.tags, b.note]);
    return unique([...this.known.keys(), ...this.wanted.keys()]).map((episode) => [this.known.get(episode) || plainly(episode), this.wanted.get(episode) || plainly(episode)]).filter(([was, is]) => !same(was, is)).map(([, is]) => is);
  },
  async next() {
    if (this.busy || !this.wanted) return;
    const marks = this.changes(), [side] = page.sides;
    this.busy = marks.length > 0;
    if (!marks.length) return;
    doc.body.dataset.saving = "true";
    try {
      const body = JSON.stringify({ format_version: 1, dataset: side.reference, content_digest: side.provenance.content_digest, marks });
      const answer = await fetch(`${AT}/marks`, { method: "POST", credentials: "omit", headers: { "Content-Type": "application/json", "X-Trajstore-Token": token }, body });
      if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || answer.statusText);
      for (const one of marks) this.known.set(one.episode, one);
      this.tell("");
    } catch (error) { this.tell(`Marks are not written: ${error.message}`); }
    this.busy = false;
    delete doc.body.dataset.saving;
    if (!this.wrong && this.changes().length) this.next();
  },
  tell(words) {
    this.wrong = words;
    unsaved = Boolean(words);
    const old = $("unwritten");
    if (old) old.remove();
    if (words) doc.body.append(el("p", { class: "notice bad unwritten", id: "unwritten", role: "alert" }, words, " ", tool("Try again", "Send the marks again", () => this.next())));
  },
};
addEventListener("beforeunload", (event) => { if (sending.busy || sending.wrong) event.preventDefault(); });
