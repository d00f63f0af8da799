// Pictures of an episode, decoded beside the page's own work and a little ahead of what is shown.
const AHEAD = 16, HELD = 40;

function blobOf(url) {
  const comma = url.indexOf(","), binary = atob(url.slice(comma + 1)), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return new Blob([bytes], { type: url.slice(5, url.indexOf(";")) });
}

function reel(urls, every) {
  const ready = new Map(), asked = new Map(), wrong = new Map();
  const load = (i, alone) => {
    if (ready.has(i) || wrong.has(i)) return Promise.resolve();
    if (!asked.has(i)) asked.set(i, source.picture(urls[i], alone).then((blob) => createImageBitmap(blob)).then((bitmap) => { ready.set(i, bitmap); }, (error) => { wrong.set(i, error.message); }).finally(() => asked.delete(i)));
    return asked.get(i);
  };
  const trim = (i) => {
    const far = [...ready.keys()].sort((a, b) => Math.abs(b - i) - Math.abs(a - i));
    while (ready.size > HELD) { const old = far.shift(), bitmap = ready.get(old); bitmap.close(); ready.delete(old); }
  };
  return { at: (t) => clamp(Math.floor(t / every), 0, urls.length - 1), ready, wrong, load, trim, length: urls.length };
}

// Draw the picture of a step; until it is decoded, the latest one before it that is. One that cannot be
// had says why.
function drawFilm(view, t) {
  const { film, canvas, lacks } = view, i = film.at(t), late = view.drawn > i ? -1 : view.drawn ?? -1, tell = () => { lacks.textContent = film.wrong.get(view.wanted) || ""; };
  view.wanted = i;
  tell();
  let best = i;
  while (best > late && !film.ready.has(best)) best -= 1;
  if (best !== view.drawn && film.ready.has(best)) putPicture(view, best);
  if (best !== i) film.load(i).then(() => { tell(); if (canvas.isConnected && (view.wanted === i || (i < view.wanted && i > view.drawn))) putPicture(view, i); });
  for (let k = 1; k <= AHEAD; k++) if (i + k < film.length) film.load(i + k);
  film.trim(i);
}

function putPicture(view, i) {
  const { canvas, film } = view, bitmap = film.ready.get(i);
  if (!bitmap) return;
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) { canvas.width = bitmap.width; canvas.height = bitmap.height; canvas.classList.toggle("fine", bitmap.width < 200); }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  canvas.dataset.frame = i;
  view.drawn = i;
}

// The films of an episode: its cameras, else what was rendered.
async function filmsOf(side, episode) {
  const { cameras = [], every = 1 } = episode.film || {};
  if (!cameras.length && !episode.frames) return [];
  const found = await source.films(side, episode.index);
  return [...cameras.filter(({ name }) => found.cameras[name]).map(({ name, words, size }) => ({ ratio: size[0] / size[1], name: name.replace(/^observation\//, ""), words, film: reel(found.cameras[name], found.cameras[name].length > 1 ? every : 1e9) })),
    ...(found.rendered.length ? [{ name: "rendered", words: "simulated again", film: reel(found.rendered, episode.frames.every) }] : [])];
}
