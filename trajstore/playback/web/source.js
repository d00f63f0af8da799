// Where episodes come from and where marks go, and nothing else knows. This page holds its episodes
// in script elements and keeps marks in the browser until they are downloaded; a served page puts an
// object with the same functions here, that fetches and posts.
const page = JSON.parse($("payload").textContent);
const textOf = (id) => { const node = $(id); return node ? node.textContent : null; };
const source = {
  // Whether saved marks are where they belong; else there is something to download.
  writes: false,
  // Packed numbers of an episode, and those of charts that are off at first; null if left out.
  numbers: async (side, index) => textOf(`e${side}-${index}`),
  more: async (side, index) => textOf(`m${side}-${index}`),
  // Pictures of an episode as data URLs: those of its cameras by name, and those rendered.
  films: async (side, index) => ({ cameras: JSON.parse(textOf(`c${side}-${index}`) || "{}"), rendered: JSON.parse(textOf(`f${side}-${index}`) || "[]") }),
  // One of these pictures; alone if no others are about to be asked for.
  picture: async (url) => blobOf(url),
  // Marks as files of marks have them; saving says whether they outlive the page.
  marks() { try { return JSON.parse(store(`marks.${page.sides[0].provenance.content_digest}`) || "null"); } catch { return null; } },
  save(all) { return store(`marks.${page.sides[0].provenance.content_digest}`, JSON.stringify(all)); },
};
