// One episode as a picture: floor, walls, goal, others, the agent and its trail.
const hasScene = (data) => Boolean(data.scene.pose);

function bounds(episode, data) {
  const box = { x0: Infinity, x1: -Infinity, y0: Infinity, y1: -Infinity };
  const take = (x, y) => { if (Number.isFinite(x) && Number.isFinite(y)) { box.x0 = Math.min(box.x0, x); box.x1 = Math.max(box.x1, x); box.y0 = Math.min(box.y0, y); box.y1 = Math.max(box.y1, y); } };
  const [x, y] = data.scene.pose;
  for (let i = 0; i < x.length; i++) take(x[i], y[i]);
  if (episode.goal) take(...episode.goal);
  const near = { ...box };
  const reach = Math.max(1.6, 0.22 * Math.max(box.x1 - box.x0, box.y1 - box.y0));
  for (const [a, b, c, d] of episode.walls) for (const [u, v] of [[a, b], [c, d]]) take(clamp(u, near.x0 - reach, near.x1 + reach), clamp(v, near.y0 - reach, near.y1 + reach));
  const people = data.scene.others || [];
  for (let k = 0; k < people.length; k += 2) for (let i = 0; i < people[k].length; i += 3) {
    const u = people[k][i], v = people[k + 1][i];
    if (u > near.x0 - reach && u < near.x1 + reach && v > near.y0 - reach && v < near.y1 + reach) take(u, v);
  }
  const pad = 0.5;
  return { x0: box.x0 - pad, x1: box.x1 + pad, y0: box.y0 - pad, y1: box.y1 + pad };
}

function camera(box, width, height, centre) {
  const scale = Math.min(width / (box.x1 - box.x0), height / (box.y1 - box.y0)) * (centre ? 1.9 : 1);
  const cx = centre ? centre[0] : (box.x0 + box.x1) / 2, cy = centre ? centre[1] : (box.y0 + box.y1) / 2;
  return { scale, x: (u) => width / 2 + (u - cx) * scale, y: (v) => height / 2 - (v - cy) * scale, cx, cy };
}

function floor(g, cam, width, height) {
  const gap = [1, 2, 5, 10, 20, 50, 100].find((metres) => metres * cam.scale >= 22) || 200;
  const left = cam.cx - width / 2 / cam.scale, bottom = cam.cy - height / 2 / cam.scale;
  g.lineWidth = 1;
  for (let u = Math.ceil(left / gap); u * gap < left + width / cam.scale; u++) line(g, [[cam.x(u * gap), 0], [cam.x(u * gap), height]], u % 5 ? css.grid : css["grid-2"]);
  for (let v = Math.ceil(bottom / gap); v * gap < bottom + height / cam.scale; v++) line(g, [[0, cam.y(v * gap)], [width, cam.y(v * gap)]], v % 5 ? css.grid : css["grid-2"]);
}

function line(g, points, colour) {
  g.strokeStyle = colour;
  g.beginPath();
  points.forEach(([x, y], i) => i ? g.lineTo(x, y) : g.moveTo(x, y));
  g.stroke();
}

function disc(g, x, y, radius, fill, edge) {
  g.beginPath();
  g.arc(x, y, Math.max(radius, 1.6), 0, 7);
  if (fill) { g.fillStyle = fill; g.fill(); }
  if (edge) { g.strokeStyle = edge; g.stroke(); }
}

function path(g, cam, x, y, first, last) {
  g.beginPath();
  let down = false;
  for (let i = Math.max(0, first); i <= last && i < x.length; i++) {
    if (Number.isNaN(x[i])) { down = false; continue; }
    if (down) g.lineTo(cam.x(x[i]), cam.y(y[i])); else g.moveTo(cam.x(x[i]), cam.y(y[i]));
    down = true;
  }
  g.stroke();
}

function scenery(g, cam, episode) {
  g.lineCap = "round";
  g.lineWidth = clamp(0.12 * cam.scale, 1.5, 6);
  for (const [a, b, c, d] of episode.walls) line(g, [[cam.x(a), cam.y(b)], [cam.x(c), cam.y(d)]], css.wall);
  if (!episode.goal) return;
  const [x, y] = [cam.x(episode.goal[0]), cam.y(episode.goal[1])], radius = Math.max(0.5 * cam.scale, 4);
  g.lineWidth = clamp(radius / 7, 1.2, 2.5);
  g.globalAlpha = 0.16; disc(g, x, y, radius, css.goal);
  g.globalAlpha = 1; disc(g, x, y, radius, null, css.goal); disc(g, x, y, radius * 0.3, css.goal);
}

function crowd(g, cam, data, t, show, radius) {
  const at = data.scene.others || [], speed = data.scene.others_velocity;
  for (let k = 0; k < at.length; k += 2) {
    const u = at[k][t], v = at[k + 1][t];
    if (show.trails) { g.globalAlpha = 0.35; g.lineWidth = 1.6; g.strokeStyle = css.other; path(g, cam, at[k], at[k + 1], t - 30, t); g.globalAlpha = 1; }
    if (Number.isNaN(u)) continue;
    const x = cam.x(u), y = cam.y(v);
    if (show.discs) {
      g.lineWidth = 1; g.globalAlpha = 0.1; disc(g, x, y, 1.2 * cam.scale, css.other); disc(g, x, y, 0.45 * cam.scale, css.other);
      g.globalAlpha = 0.5; g.setLineDash([4, 4]); disc(g, x, y, 1.2 * cam.scale, null, css.other); g.setLineDash([]); g.globalAlpha = 1;
    }
    if (speed) { g.lineWidth = 2; line(g, [[x, y], [cam.x(u + 0.8 * speed[k][t]), cam.y(v + 0.8 * speed[k + 1][t])]], css["other-ink"]); }
    g.lineWidth = 1.2;
    disc(g, x, y, radius * cam.scale, css.other, css.floor);
  }
}

// The recorded clearance, the same number as in its chart; where none is recorded, the nearest other's.
function gap(g, cam, data, t, radius) {
  const [x, y] = data.scene.pose, at = data.scene.others || [], recorded = data.scene.clearance && valueAt(data.scene.clearance[0], t);
  let best = Infinity, who = -1;
  for (let k = 0; k < at.length; k += 2) {
    const apart = Math.hypot(at[k][t] - x[t], at[k + 1][t] - y[t]) - radius.agent - radius.others;
    if (apart < best) { best = apart; who = k; }
  }
  const value = recorded === undefined ? best : recorded, a = [cam.x(x[t]), cam.y(y[t])];
  if (!(value < 1.2)) return;
  if (best < 1.2) { g.lineWidth = 1.5; g.setLineDash([3, 4]); line(g, [a, [cam.x(at[who][t]), cam.y(at[who + 1][t])]], value < 0.3 ? css.bad : css["ink-3"]); g.setLineDash([]); }
  label(g, `${number(value)} m`, a[0], a[1] - radius.agent * cam.scale - 18, value < 0.3 ? css.bad : css["ink-2"]);
}

function label(g, text, x, y, colour) {
  g.font = "600 11px system-ui, sans-serif"; g.textAlign = "center"; g.textBaseline = "middle";
  g.lineWidth = 4; g.lineJoin = "round"; g.strokeStyle = css.floor; g.strokeText(text, x, y);
  g.fillStyle = colour; g.fillText(text, x, y);
}

function agent(g, cam, data, t, radius, colour) {
  const [x, y, heading] = data.scene.pose;
  const px = cam.x(x[t]), py = cam.y(y[t]), r = Math.max(radius * cam.scale, 4), angle = heading ? -heading[t] : null;
  g.lineWidth = 2;
  disc(g, px, py, r, colour, css.floor);
  if (angle === null) return;
  const tip = (a, k) => [px + Math.cos(angle + a) * r * k, py + Math.sin(angle + a) * r * k];
  g.beginPath();
  [[0, 0.72], [2.45, 0.6], [Math.PI, 0.2], [-2.45, 0.6]].forEach(([a, k], i) => { const [u, v] = tip(a, k); if (i) g.lineTo(u, v); else g.moveTo(u, v); });
  g.closePath();
  g.fillStyle = css.floor; g.fill();
}

// show: {trails, discs, follow}; other: a second episode whose agent is drawn as well.
function drawScene(canvas, side, episode, data, t, show, colour, other) {
  const { g, width, height } = surface(canvas), radius = page.sides[side].radius, [x, y] = data.scene.pose;
  t = clamp(t, 0, data.T);
  const cam = camera(data.box || (data.box = bounds(episode, data)), width, height, show.follow && [x[t], y[t]]);
  floor(g, cam, width, height);
  scenery(g, cam, episode);
  g.lineJoin = "round";
  if (other) { g.strokeStyle = other.colour; g.globalAlpha = 0.55; g.lineWidth = 2; path(g, cam, other.data.scene.pose[0], other.data.scene.pose[1], 0, other.data.T); g.globalAlpha = 1; }
  g.strokeStyle = colour;
  if (show.trails) { g.globalAlpha = 0.28; g.lineWidth = 1.6; g.setLineDash([2, 5]); path(g, cam, x, y, t, data.T); g.setLineDash([]); g.globalAlpha = 0.85; g.lineWidth = 3; path(g, cam, x, y, 0, t); g.globalAlpha = 1; }
  for (const found of episode.anomalies) if (found.last > found.first && found.last - found.first < data.T - 1 && show.trails) { g.strokeStyle = css[tone(found.score)]; g.globalAlpha = 0.35; g.lineWidth = 8; path(g, cam, x, y, found.first, found.last + 1); g.globalAlpha = 1; }
  crowd(g, cam, data, t, show, radius.others);
  gap(g, cam, data, t, radius);
  if (other) agent(g, cam, other.data, clamp(t, 0, other.data.T), radius.agent, other.colour);
  const now = activeAt(episode, t);
  if (now.length) { g.lineWidth = 3; g.globalAlpha = 0.9; disc(g, cam.x(x[t]), cam.y(y[t]), radius.agent * cam.scale + 7, null, css[tone(now[0].score)]); g.globalAlpha = 1; }
  agent(g, cam, data, t, radius.agent, colour);
  const metre = cam.scale;
  g.lineWidth = 2; line(g, [[width - 16 - metre, height - 14], [width - 16, height - 14]], css["ink-3"]);
  label(g, "1 m", width - 16 - metre / 2, height - 24, css["ink-3"]);
}

const activeAt = (episode, t) => episode.anomalies.filter((found) => t >= found.first && t <= found.last + (found.last === episode.steps - 1 ? 1 : 0)).sort((a, b) => b.score - a.score);

function drawThumb(canvas, side, episode, data, t, other) {
  const { g, width, height } = surface(canvas);
  if (!hasScene(data)) { drawSpark(g, width, height, side, data); return; }
  const [x, y] = data.scene.pose, people = data.scene.others || [];
  const cam = camera(data.box || (data.box = bounds(episode, data)), width, height);
  scenery(g, cam, episode);
  g.lineJoin = g.lineCap = "round";
  g.strokeStyle = css.other; g.globalAlpha = 0.42; g.lineWidth = 1.2;
  for (let k = 0; k < people.length; k += 2) path(g, cam, people[k], people[k + 1], 0, data.T);
  g.globalAlpha = 1;
  if (other) { g.strokeStyle = css.b; g.lineWidth = 2; path(g, cam, other.scene.pose[0], other.scene.pose[1], 0, other.T); disc(g, cam.x(other.scene.pose[0][other.T]), cam.y(other.scene.pose[1][other.T]), 3.5, css.b, css.floor); }
  g.strokeStyle = css.agent; g.lineWidth = 2.2; path(g, cam, x, y, 0, data.T);
  disc(g, cam.x(x[0]), cam.y(y[0]), 2.6, css.floor, css.agent);
  const end = t === null ? data.T : t;
  if (t !== null) for (let k = 0; k < people.length; k += 2) if (!Number.isNaN(people[k][end])) disc(g, cam.x(people[k][end]), cam.y(people[k + 1][end]), 0.25 * cam.scale, css.other);
  g.lineWidth = 1.5; disc(g, cam.x(x[end]), cam.y(y[end]), 4.5, t === null ? css[toned(episode.outcome)] : css.agent, css.floor);
}

function drawSpark(g, width, height, side, data) {
  page.sides[side].charts.slice(0, 3).forEach((chart, i, all) => {
    const values = series(data, chart);
    if (!values) return;
    const top = 14 + i * (height - 28) / all.length, tall = (height - 28) / all.length - 8, [low, high] = extent([values]);
    g.lineWidth = 1.6;
    line(g, Array.from(values, (v, k) => [10 + k * (width - 20) / Math.max(1, values.length - 1), top + tall - (v - low) / (high - low || 1) * tall]).filter((p) => !Number.isNaN(p[1])), i ? css["ink-3"] : css.agent);
  });
}
