// What holds for whole episodes, as things to show, search, count and filter: recorded fields, what
// episodes come to, and marks.
for (const side of page.sides) side.episodes.forEach((episode, row) => { episode.values = Object.fromEntries(side.fields.map((field) => [field.name, field.values[row]])); });
const BINS = 16;

const FIELDS = [
  ...page.sides[0].fields.map(({ name, kind, unit }) => ({ name, kind, unit, of: ({ a }) => a.values[name] })),
  { name: "mark", kind: "text", unit: "", of: ({ a }) => markOf(a).mark || "unmarked" },
  { name: "tags", kind: "tags", unit: "", of: ({ a }) => markOf(a).tags },
];
const fieldNamed = (name) => FIELDS.find((field) => field.name === name);

function fieldText(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map((one) => number(one)).join(", ");
  return typeof value === "number" ? exact(value) : typeof value === "boolean" ? (value ? "true" : "false") : value;
}

// A filter of one field: {low, high} of numbers, {words} out of which one has to be, {part} of a text.
function passes(field, filter, entry) {
  const value = field.of(entry);
  if (field.kind === "number") return value !== null && value !== undefined && (filter.low === null || value >= filter.low) && (filter.high === null || value <= filter.high);
  const all = field.kind === "tags" ? value : [fieldText(value)];
  if (filter.words && filter.words.size && !all.some((word) => filter.words.has(word))) return false;
  return !filter.part || all.some((word) => word.toLowerCase().includes(filter.part.toLowerCase()));
}

const isOn = (filter) => Boolean(filter) && (filter.low ?? filter.high ?? null) !== null || Boolean(filter && ((filter.words && filter.words.size) || filter.part));

function filterWords(name, filter) {
  const words = filter.words && [...filter.words].map(plain).join(" or ");
  if (words || filter.part) return `${plain(name)}: ${[words, filter.part && `“${filter.part}”`].filter(Boolean).join(", ")}`;
  const low = filter.low === null ? null : exact(filter.low), high = filter.high === null ? null : exact(filter.high);
  return `${plain(name)} ${low === null ? `≤ ${high}` : high === null ? `≥ ${low}` : low === high ? `= ${low}` : `${low} … ${high}`}`;
}

// The next of 1, 2, 5 times a power of ten, so that bars begin and end at round numbers.
function niceStep(x) {
  const power = 10 ** Math.floor(Math.log10(x)), times = [1, 2, 5, 10].find((one) => one * power >= x * 0.999);
  return times * power;
}

// Counts of a field: bars {words, count, filter}. Few whole numbers have a bar each; texts the ten most frequent.
function histogram(field, all) {
  const values = all.map((entry) => field.of(entry));
  if (field.kind !== "number") {
    const counts = new Map();
    for (const value of values) for (const word of field.kind === "tags" ? value : [fieldText(value)]) counts.set(word, (counts.get(word) || 0) + 1);
    const most = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    return { bars: most.slice(0, 10).map(([word, n]) => ({ words: plain(word), count: n, word })), rest: Math.max(0, most.length - 10) };
  }
  const known = values.filter((value) => value !== null && value !== undefined), none = values.length - known.length;
  if (!known.length) return { bars: [], none };
  const low = Math.min(...known), high = Math.max(...known);
  if (low === high) return { bars: [{ words: fieldText(low), count: known.length, low, high, least: low, most: low }], none, low, high };
  const width = known.every(Number.isInteger) && high - low < BINS ? 1 : niceStep((high - low) / BINS), single = width === 1 && known.every(Number.isInteger), base = Math.floor(low / width + 1e-9);
  const edge = (i) => Number(((base + i) * width).toPrecision(12)), bars = Array.from({ length: Math.floor(high / width + 1e-9) - base + 1 }, (_, i) => ({ low: edge(i), high: single ? edge(i) : edge(i + 1), count: 0 }));
  for (const value of known) {
    const bar = bars[clamp(Math.floor(value / width + 1e-9) - base, 0, bars.length - 1)];
    bar.count += 1;
    bar.least = Math.min(bar.least ?? value, value); bar.most = Math.max(bar.most ?? value, value);
  }
  for (const bar of bars) bar.words = single ? fieldText(bar.low) : `${fieldText(bar.low)} to ${fieldText(bar.high)}`;
  return { bars, none, low, high };
}
