// Strips of numbers over one time line, the same x as the scrubber above them.
function series(data, chart) {
  const columns = data.at[chart.channel];
  if (!columns) return null;
  return columns[chart.column];
}

// The last reward often pays out; it must not flatten all the others, so it may leave the strip.
function extent(all, ends = true) {
  let low = Infinity, high = -Infinity;
  for (const values of all) for (const v of ends || values.length < 8 ? values : values.subarray(0, -1)) if (!Number.isNaN(v)) { if (v < low) low = v; if (v > high) high = v; }
  if (low > high) return [0, 1];
  if (low === high) return [low - 0.5, high + 0.5];
  return [low, high];
}

// lines: [{data, episode, side, colour}]; the longest sets the width.
function drawCharts(canvas, charts, lines, t, total) {
  const { g, width, height } = surface(canvas), tall = height / charts.length, x = (step) => step / total * width;
  for (const found of lines[0].episode.anomalies) {
    if (found.first === 0 && found.last >= lines[0].data.T - 1) continue;
    g.globalAlpha = 0.1; g.fillStyle = css[tone(found.score)];
    g.fillRect(x(found.first), 0, Math.max(2, x(found.last + 1) - x(found.first)), height); g.globalAlpha = 1;
  }
  charts.forEach((chart, row) => strip(g, chart, lines, t, { top: row * tall, tall, width, x }));
  g.lineWidth = 1.5; line(g, [[x(t), 0], [x(t), height]], css.accent);
}

function strip(g, chart, lines, t, { top, tall, width, x }) {
  const drawn = lines.map((entry) => ({ ...entry, values: series(entry.data, chart), state: isState(entry.side, chart) })).filter((entry) => entry.values);
  const [low, high] = extent(drawn.map((entry) => entry.values), chart.label !== "reward"), from = top + 20, room = Math.max(8, tall - 28);
  const y = (v) => clamp(from + room - (v - low) / (high - low) * room, from - 2, from + room + 4);
  g.lineWidth = 1;
  line(g, [[0, top + 0.5], [width, top + 0.5]], css.line);
  if (low < 0 && high > 0) { g.setLineDash([2, 4]); line(g, [[0, y(0)], [width, y(0)]], css["line-2"]); g.setLineDash([]); }
  g.lineJoin = "round";
  drawn.forEach(({ values, state, colour }, which) => {
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
    const now = values[clamp(t, 0, values.length - 1)];
    if (Number.isNaN(now)) return;
    disc(g, x(clamp(t, 0, values.length - 1)), y(now), 3.2, colour, css.panel);
    words(g, `${number(now)}${chart.unit ? ` ${chart.unit}` : ""}`, width - which * 110, top + 11, "right", colour, 600);
  });
  words(g, chart.label, 0, top + 11, "left", css["ink-2"], 600);
  const start = 8 + g.measureText(chart.label).width;
  const known = drawn.some((entry) => entry.values.some((v) => !Number.isNaN(v)));
  words(g, known ? `${number(low)} … ${number(high)}` : "cannot be read", start, top + 11, "left", css["ink-3"], 400);
}

function words(g, text, x, y, align, colour, weight) {
  g.font = `${weight} 11.5px system-ui, sans-serif`;
  g.textAlign = align; g.textBaseline = "middle"; g.fillStyle = colour;
  g.fillText(text, x, y);
}

const isState = (side, chart) => page.sides[side].channels.find((channel) => channel.name === chart.channel).axis === "state";
