// Elements, words and colours. Everything from the data becomes text, never markup.
const doc = document, root = doc.documentElement;
const $ = (id) => doc.getElementById(id);

function el(tag, props, ...children) {
  const node = doc.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "vars") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false).map((child) => child instanceof Node ? child : String(child)));
  return node;
}

const ICONS = {
  play: "M7 4.5v15l12-7.5z", pause: "M7 5h3.5v14H7zM13.5 5H17v14h-3.5z", back: "M15 5l-7 7 7 7", next: "M9 5l7 7-7 7",
  up: "M5 15l7-7 7 7", down: "M5 9l7 7 7-7", link: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  check: "M5 12.5l4.5 4.5L19 7.5", cross: "M6 6l12 12M18 6L6 18", tag: "M4 4h7l9 9-7 7-9-9zM8 8h.01", note: "M5 4h14v16H5zM8 9h8M8 13h8M8 17h4", undo: "M8 5L4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3", save: "M12 4v11m-5-5 5 5 5-5M5 20h14", bars: "M5 20V11m5 9V5m5 15v-7m5 7V9", list: "M4 6h2m-2 6h2m-2 6h2M10 6h10M10 12h10M10 18h10",
  moon: "M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z", sun: "M12 4V2m0 20v-2m8-8h2M2 12h2m13.7-5.7 1.4-1.4M4.9 19.1l1.4-1.4m0-11.4L4.9 4.9m14.2 14.2-1.4-1.4M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0z",
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg", svg = doc.createElementNS(space, "svg"), path = doc.createElementNS(space, "path");
  const solid = name === "play" || name === "pause";
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", fill: solid ? "currentColor" : "none", stroke: solid ? "none" : "currentColor", "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" })) svg.setAttribute(key, value);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
const plain = (text) => String(text).replaceAll("_", " ");

function number(x) {
  if (x === null || x === undefined) return "–";
  if (typeof x !== "number") return String(x);
  if (!Number.isFinite(x)) return String(x);
  if (Number.isInteger(x) && Math.abs(x) < 1e7) return x.toLocaleString("en");
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return x.toExponential(2);
  return x.toFixed(size >= 100 ? 1 : size >= 1 ? 2 : 3);
}

// Numbers that differ keep every digit that tells them apart.
const exact = (x, differs) => typeof x === "number" && !Number.isInteger(x) ? String(Number(x.toPrecision(differs ? 9 : 5))) : number(x);
const points = (score) => String(Number(score.toFixed(2)));

let css = {};
function readColours() {
  const style = getComputedStyle(root);
  css = {};
  for (const name of ["bg", "panel", "sunk", "line", "line-2", "ink", "ink-2", "ink-3", "accent", "b", "good", "warn", "bad", "bad-soft", "odd", "floor", "grid", "grid-2", "wall", "other", "other-ink", "agent", "goal"]) css[name] = style.getPropertyValue(`--${name}`).trim();
}

function toned(outcome) {
  if (/^(goal|success|succeeded|solved)/.test(outcome)) return "good";
  if (/^(collision|crash|fail)/.test(outcome)) return "bad";
  if (/^(timeout|truncated)/.test(outcome)) return "warn";
  return outcome ? "odd" : "ink-3";
}
const outcomeColour = (outcome) => `var(--${toned(outcome)})`;
const tone = (score) => score >= 0.8 ? "bad" : score >= 0.35 ? "warn" : "odd";
const level = (score) => score >= 0.8 ? "l3" : score >= 0.35 ? "l2" : score > 0 ? "l1" : "";

function surface(canvas) {
  const box = canvas.getBoundingClientRect(), ratio = Math.min(devicePixelRatio || 1, 3);
  const width = Math.max(1, Math.round(box.width)), height = Math.max(1, Math.round(box.height));
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, width, height);
  return { g, width, height };
}

// What the browser remembers; a page opened from a file may have no storage, and then nothing is.
function store(key, value) {
  try {
    if (value === undefined) return localStorage.getItem(`trajstore.${key}`);
    localStorage.setItem(`trajstore.${key}`, value);
    return true;
  } catch { return value === undefined ? null : false; }
}
const recall = (key) => { try { return JSON.parse(store(key)); } catch { return null; } };
