// From the packed text of an episode to its columns; the counterpart of channels.py.
const kept = new Map();

async function inflate(text) {
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// A column is differences of whole multiples of its scale; 0 stands for "no value".
function columns(bytes, channels, steps) {
  const out = {};
  let at = 0;
  for (const channel of channels) {
    const rows = channel.axis === "state" ? steps + 1 : steps;
    out[channel.name] = channel.columns.map(() => {
      const values = new Float64Array(rows);
      let last = 0;
      for (let row = 0; row < rows; row++) {
        let code = 0, factor = 1, byte;
        do { byte = bytes[at++]; code += (byte & 127) * factor; factor *= 128; } while (byte & 128);
        if (code === 0) { values[row] = NaN; continue; }
        code -= 1;
        last += code % 2 ? -(code + 1) / 2 : code / 2;
        values[row] = last * channel.scale;
      }
      return values;
    });
  }
  return out;
}

async function unpack(side, episode) {
  const key = `${side}-${episode.index}`;
  if (kept.has(key)) { const value = kept.get(key); kept.delete(key); kept.set(key, value); return value; }
  const text = await source.numbers(side, episode.index), { channels } = page.sides[side];
  const at = text ? columns(await inflate(text), channels, episode.steps) : {};
  const scene = Object.fromEntries(channels.filter((channel) => channel.role && at[channel.name]).map((channel) => [channel.role, at[channel.name]]));
  const data = { T: episode.steps, at, scene, more: null };
  kept.set(key, data);
  if (kept.size > 80) kept.delete(kept.keys().next().value);
  return data;
}

// Charts that are off at first: their columns follow those that are there already.
function unpackMore(side, episode, data) {
  data.more = data.more || source.more(side, episode.index).then(async (text) => {
    if (!text) return false;
    const found = columns(await inflate(text), page.sides[side].more, episode.steps);
    for (const [name, values] of Object.entries(found)) data.at[name] = [...(data.at[name] || []), ...values];
    return true;
  });
  return data.more;
}
