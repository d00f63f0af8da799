// Strips of numbers over one time line, the same x as the scrubber above them.
function series(data, chart) {
  const columns = data.at[chart.channel];
  if (!columns) return null;
  return columns[chart.column];
}

// What a chart shows at a step: of the step axis, the last one has no value of its own.
const valueAt = (values, t) => values[clamp(t, 0, values.length - 1)];

// Least and most of all values; the first is the larger one where there are none.
function lowAndHigh(all, ends = true) {
  let low = Infinity, high = -Infinity;
  for (const values of all) for (const v of ends || values.length < 8 ? values : values.subarray(0, -1)) if (!Number.isNaN(v)) { if (v < low) low = v; if (v > high) high = v; }
  return [low, high];
}

// What a strip shows. The last reward often pays out; it must not flatten all the others, so it may leave the strip.
function extent(all, ends = true) {
  const [low, high] = lowAndHigh(all, ends);
  return low > high ? [0, 1] : low === high ? [low - 0.5, high + 0.5] : [low, high];
}

// What does not move: lines: [{data, episode, side, colour}]; the longest sets the width.
function drawCharts(canvas, charts, lines, total) {
  const { g, width, height } = surface(canvas), tall = height / charts.length, x = (step) => step / total * width;
  for (const found of lines[0].episode.anomalies) {
    if (found.first === 0 && found.last >= lines[0].data.T - 1) continue;
    g.globalAlpha = 0.1; g.fillStyle = css[tone(found.score)];
    g.fillRect(x(found.first), 0, Math.max(2, x(found.last + 1) - x(found.first)), height); g.globalAlpha = 1;
  }
  return charts.map((chart, row) => strip(g, chart, lines, { top: row * tall, tall, width, x }));
}

// One strip; returns what its moving parts need: height of a value, and the lines in it.
function strip(g, chart, lines, { top, tall, width, x }) {
  const drawn = lines.map((entry) => ({ ...entry, values: series(entry.data, chart), state: isState(entry.side, chart) })).filter((entry) => entry.values);
  const all = drawn.map((entry) => entry.values), [least, most] = lowAndHigh(all), [low, high] = extent(all, chart.label !== "reward"), from = top + 20, room = Math.max(8, tall - 28);
  const y = (v) => clamp(from + room - (v - low) / (high - low) * room, from - 2, from + room + 4);
  g.lineWidth = 1;
  line(g, [[0, top + 0.5], [width, top + 0.5]], css.line);
  if (low < 0 && high > 0) { g.setLineDash([2, 4]); line(g, [[0, y(0)], [width, y(0)]], css["line-2"]); g.setLineDash([]); }
  g.lineJoin = "round";
  for (const { values, state, colour } of drawn) {
    g.beginPath();
    let down = false;
    for (let i = 0; i < values.length; i++) {
      if (Number.isNaN(values[i])) { down = false; continue; }
      const at = y(values[i]);
      if (down) g.lineTo(x(i), at); else g.moveTo(x(i), at);
      if (!state) g.lineTo(x(i + 1), at);
      down = true;
    }
    g.strokeStyle = colour; g.lineWidth = 1.7; g.stroke();
  }
  words(g, chart.label, 0, top + 11, "left", css["ink-2"], 600);
  const start = 8 + g.measureText(chart.label).width;
  words(g, least <= most ? least < most ? `${number(least)} … ${number(most)}` : `always ${number(least)}` : lines.every((entry) => entry.lacks) ? "not in this page" : drawn.length ? "cannot be read" : "…", start, top + 11, "left", css["ink-3"], 400);
  const moving = drawn.map(({ values, colour }, which) => ({ values, value: el("span", { class: "now", vars: { color: colour, top: `${top + 2}px`, right: `${which * 110}px` } }), dot: el("i", { class: "dot", vars: { background: colour } }) }));
  return { x, y, unit: chart.unit ? ` ${chart.unit}` : "", moving };
}

// What moves with the step: a cursor, and a dot and a number for each line. No canvas is drawn for it.
function moveCharts(cursor, strips, t) {
  if (!strips.length) return;
  cursor.style.transform = `translateX(${strips[0].x(t)}px)`;
  for (const { x, y, unit, moving } of strips) for (const { values, value, dot } of moving) {
    const now = valueAt(values, t), known = !Number.isNaN(now);
    value.textContent = known ? `${number(now)}${unit}` : "";
    dot.hidden = !known;
    if (known) dot.style.transform = `translate(${x(clamp(t, 0, values.length - 1))}px, ${y(now)}px)`;
  }
}

function words(g, text, x, y, align, colour, weight) {
  g.font = `${weight} 11.5px system-ui, sans-serif`;
  g.textAlign = align; g.textBaseline = "middle"; g.fillStyle = colour;
  g.fillText(text, x, y);
}

const isState = (side, chart) => [...page.sides[side].channels, ...page.sides[side].more].find((channel) => channel.name === chart.channel).axis === "state";
