// Where the time goes: stages at the percentiles, one frame, all frames over time, the histogram, the clocks.

const colour = (stage) => `var(--${stage})`;

// A percentile's stages: those of the frames around it, of which there are two in a hundred, at least five. They add up.
function stagesAround(share) {
  const order = F.total.map((_, i) => i).sort((a, b) => F.total[a] - F.total[b]);
  const middle = Math.max(0, Math.ceil(share * order.length) - 1);
  const half = Math.max(2, Math.round(order.length / 100));
  const chosen = order.slice(Math.max(0, middle - half), Math.min(order.length, middle + half + 1));
  return STAGES.map((stage) => chosen.reduce((sum, i) => sum + F.stages[stage][i], 0) / chosen.length);
}

function drawStages(svg, width) {
  const rows = [0.5, 0.95, 0.99].map((share) => ({ name: `p${Math.round(share * 100)}`, parts: stagesAround(share) }));
  const left = 38, right = width - 62;
  const sums = rows.map((row) => row.parts.reduce((a, b) => a + b, 0));
  const x = linear(0, Math.max(...sums), left, right);
  rows.forEach((row, k) => {
    const y = 4 + k * 50;
    let at = 0;
    svg.append(el("text", { class: "strong", x: 0, y: y + 24 }, row.name));
    row.parts.forEach((part, i) => {
      const start = x(at), span = Math.max(0, x(at + part) - x(at));
      at += part;
      const bar = el("rect", { x: start, y, width: Math.max(0, span - 1), height: 38, rx: 2, fill: colour(STAGES[i]) });
      svg.append(bar);
      if (span > 12 + 7.4 * STAGES[i].length) svg.append(el("text", { class: "on", x: start + 7, y: y + 16, "pointer-events": "none" }, STAGES[i]));
      if (span > 30) svg.append(el("text", { class: "on", x: start + 7, y: y + 31, "pointer-events": "none" }, part.toFixed(1)));
      bar.addEventListener("pointermove", (event) => showTip(event, `${STAGES[i]} at ${row.name}: ${ms(part)}`));
      bar.addEventListener("pointerleave", hideTip);
    });
    svg.append(el("text", { class: "strong", x: x(sums[k]) + 7, y: y + 24 }, ms(sums[k], 0)));
  });
}

let selected = 0;
function medianFrame() {
  const order = F.total.map((_, i) => i).sort((a, b) => F.total[a] - F.total[b]);
  return order[Math.max(0, Math.ceil(order.length / 2) - 1)];
}

function drawFrame(svg, width) {
  const i = selected;
  const seen = F.pixels[i] !== null;
  const left = width < 560 ? 66 : 132, right = width - 14, row = 30, top = 8;
  const total = F.total[i];
  const end = Math.max(total, seen ? F.pixels[i] + F.bound[i] : 0);
  const x = linear(0, end * 1.02, left, right);
  const rows = STAGES.length + (D.pixels.run ? 1 : 0);
  const bottom = top + row * rows + 6;
  axisX(svg, x, { top, bottom, unit: "ms since capture", wanted: width < 560 ? 4 : 9 });
  const side = { wait: "server", encode: "server", send: "server", network: "network", queue: "viewer", decode: "viewer", present: "viewer" };
  let at = 0;
  STAGES.forEach((stage, k) => {
    const part = F.stages[stage][i], y = top + row * k;
    if (width >= 560 && (k === 0 || side[stage] !== side[STAGES[k - 1]])) svg.append(el("text", { x: 0, y: y + 19 }, side[stage]));
    svg.append(el("text", { class: "strong", x: left - 10, y: y + 19, "text-anchor": "end" }, stage));
    const start = x(at), span = Math.max(1.5, x(at + part) - x(at));
    svg.append(el("rect", { x: start, y: y + 4, width: span, height: row - 8, rx: 2, fill: colour(stage) }));
    if (k) svg.append(el("line", { x1: start, x2: start, y1: y - 4, y2: y + 4, stroke: "var(--faint)" }));
    const outside = span < 44;
    const late = outside && start + span > right - 50;
    svg.append(el("text", { class: outside ? "" : "on", x: late ? start - 6 : outside ? start + span + 6 : start + 7, y: y + 19, "text-anchor": late ? "end" : "start" }, part < 9.95 ? part.toFixed(2) : part.toFixed(1)));
    at += part;
  });
  if (!D.pixels.run) return;
  const y = top + row * STAGES.length;
  if (width >= 560) svg.append(el("text", { x: 0, y: y + 19 }, "screen"));
  svg.append(el("text", { class: "strong", x: left - 10, y: y + 19, "text-anchor": "end" }, "visible"));
  if (!seen) {
    svg.append(el("text", { x: left + 8, y: y + 19 }, "no grab shows this frame"));
    return;
  }
  const low = x(F.pixels[i] - F.bound[i]), high = x(F.pixels[i] + F.bound[i]);
  svg.append(el("rect", { x: low, y: y + 8, width: Math.max(2, high - low), height: row - 16, fill: "var(--second)", "fill-opacity": 0.35 }));
  for (const edge of [low, high]) svg.append(el("line", { x1: edge, x2: edge, y1: y + 4, y2: y + row - 4, stroke: "var(--second)", "stroke-width": 2 }));
  svg.append(el("text", { x: low - 6, y: y + 19, "text-anchor": "end" }, `${F.pixels[i].toFixed(1)} ± ${F.bound[i].toFixed(1)}`));
}

function describeFrame() {
  const i = selected;
  const rank = F.total.filter((value) => value <= F.total[i]).length / F.total.length;
  const kind = F.intra[i] ? "intra" : "inter";
  return `Frame ${F.number[i]}, ${kind}, QP ${F.qp[i]}: ${ms(F.total[i])}, ${F.time_s[i].toFixed(2)} s into the run; ${Math.round(100 * rank)} % of the frames took no longer.`;
}

let view = null; // seconds [from, to] of the chart over time
function drawTime(svg, width, height) {
  const left = 44, right = width - 8, top = 24, bottom = height - 38;
  const last = F.time_s[F.time_s.length - 1] || 1;
  const [from, to] = view ?? [0, last];
  const x = linear(from, to, left, right);
  const inside = F.time_s.map((_, i) => i).filter((i) => F.time_s[i] >= from - 0.2 && F.time_s[i] <= to + 0.2);
  // More frames than pixels: of those in a column the slowest one, so that no spike is lost.
  const columns = new Map();
  for (const i of inside) {
    const key = inside.length > right - left ? Math.round(x(F.time_s[i])) : i;
    const old = columns.get(key);
    if (old === undefined || F.total[i] > F.total[old]) columns.set(key, i);
  }
  const shown = [...columns.values()];
  const ordered = ascending(inside.map((i) => F.total[i]));
  const peak = Math.max(quantile(ordered, 0.995) * 1.15, 1);
  const y = linear(0, peak, bottom, top);
  axisX(svg, x, { top, bottom, unit: "s", wanted: width < 560 ? 4 : 10 });
  axisY(svg, y, { left, right, unit: "ms" });
  const clip = el("clipPath", { id: "time-clip" }, el("rect", { x: left, y: top - 2, width: right - left, height: bottom - top + 2 }));
  const group = el("g", { "clip-path": "url(#time-clip)" });
  svg.append(clip, group);
  const base = shown.map(() => 0);
  for (const stage of STAGES) {
    const lower = shown.map((i, k) => `${x(F.time_s[i]).toFixed(1)},${y(base[k]).toFixed(1)}`);
    shown.forEach((i, k) => { base[k] += F.stages[stage][i]; });
    const upper = shown.map((i, k) => `${x(F.time_s[i]).toFixed(1)},${y(base[k]).toFixed(1)}`);
    if (shown.length) group.append(el("path", { d: `M${upper.join("L")}L${lower.reverse().join("L")}Z`, fill: colour(stage) }));
  }
  for (const [share, dash] of [[0.5, null], [0.95, "7 4"], [0.99, "2 4"]]) {
    const at = y(quantile(ascending(F.total), share));
    if (at < top) continue;
    group.append(el("line", { x1: left, x2: right, y1: at, y2: at, stroke: "var(--ink)", "stroke-width": 1, "stroke-dasharray": dash, "stroke-opacity": 0.75 }));
    svg.append(el("text", { class: "strong", x: right - 4, y: at - 4, "text-anchor": "end", "paint-order": "stroke", stroke: "var(--paper)", "stroke-width": 3 }, `p${Math.round(share * 100)}`));
  }
  const chosen = x(F.time_s[selected]);
  if (chosen >= left && chosen <= right) group.append(el("line", { x1: chosen, x2: chosen, y1: top, y2: bottom, stroke: "var(--ink)", "stroke-width": 1.5 }));
  const brush = el("rect", { x: 0, y: top, width: 0, height: bottom - top, fill: "var(--accent)", "fill-opacity": 0.2 });
  svg.append(brush);
  const nearest = (px) => {
    const t = x.invert(px);
    return inside.reduce((best, i) => (Math.abs(F.time_s[i] - t) < Math.abs(F.time_s[best] - t) ? i : best), inside[0]);
  };
  hover(svg, [left, top, right, bottom], {
    move: (spot, event) => {
      const i = nearest(spot.x);
      showTip(event, [`frame ${F.number[i]}: ${ms(F.total[i])}`, ...STAGES.map((stage) => `${stage} ${F.stages[stage][i].toFixed(1)}`)].join("\n"));
    },
    click: (spot) => select(nearest(spot.x)),
    drag: (start, end, done) => {
      const [a, b] = [Math.max(left, Math.min(start, end)), Math.min(right, Math.max(start, end))];
      brush.setAttribute("x", a);
      brush.setAttribute("width", Math.max(0, b - a));
      if (done) zoom([x.invert(a), x.invert(b)]);
    },
  });
}

function drawHistogram(svg, width, height) {
  const left = 44, right = width - 12, top = 24, bottom = height - 38;
  const ordered = ascending(F.total);
  const from = Math.max(0, Math.floor(ordered[0] * 0.95)), to = Math.max(quantile(ordered, 0.995) * 1.05, from + 1);
  const bins = Math.max(12, Math.min(80, Math.round((right - left) / 12)));
  const one = density(F.total.filter((value) => value <= to), from, to, bins);
  const two = density(F.pixels.filter((value) => value !== null && value >= from && value <= to), from, to, bins);
  const x = linear(from, to, left, right);
  const y = linear(0, Math.max(...one, ...two, 1), bottom, top);
  axisX(svg, x, { top, bottom, unit: "ms", wanted: width < 560 ? 5 : 8 });
  axisY(svg, y, { left, right, unit: "frames", wanted: 4 });
  const size = (right - left) / bins;
  one.forEach((count, k) => {
    const bar = el("rect", { x: left + k * size + 0.5, y: y(count), width: Math.max(0.5, size - 1), height: bottom - y(count), fill: METHOD_COLOURS[0], "fill-opacity": 0.55 });
    bar.addEventListener("pointermove", (event) => showTip(event, `${count} frames from ${x.invert(left + k * size).toFixed(1)} to ${ms(x.invert(left + (k + 1) * size))}`));
    bar.addEventListener("pointerleave", hideTip);
    svg.append(bar);
  });
  if (D.pixels.run) {
    const steps = two.map((count, k) => `L${left + k * size},${y(count)}H${left + (k + 1) * size}`).join("");
    svg.append(el("path", { d: `M${left},${bottom}${steps}V${bottom}`, fill: "none", stroke: METHOD_COLOURS[1], "stroke-width": 1.6, "pointer-events": "none" }));
  }
}

function drawClock(svg, width, height) {
  const left = 52, right = width - 8, top = 24, bottom = height - 38;
  const offsets = F.offset_us.map((value) => value / 1e3);
  const error = D.timestamps.clock_error_ms;
  const middle = D.setup.same_clock ? 0 : quantile(ascending(offsets), 0.5);
  const reach = Math.max(error, ...offsets.map((value) => Math.abs(value - middle)), 0.01) * 1.15;
  const x = linear(0, F.time_s[F.time_s.length - 1] || 1, left, right), y = linear(middle - reach, middle + reach, bottom, top);
  axisX(svg, x, { top, bottom, unit: "s", wanted: width < 560 ? 4 : 8 });
  axisY(svg, y, { left, right, unit: "server's clock minus the viewer's, ms", wanted: 4 });
  svg.append(el("rect", { x: left, y: y(middle + error), width: right - left, height: y(middle - error) - y(middle + error), fill: "var(--accent)", "fill-opacity": 0.1 }));
  const points = offsets.map((value, i) => `${x(F.time_s[i]).toFixed(1)},${y(value).toFixed(1)}`);
  svg.append(el("line", { class: "axis", x1: left, x2: right, y1: y(middle), y2: y(middle) }));
  svg.append(el("path", { d: `M${points.join("L")}`, fill: "none", stroke: "var(--accent)", "stroke-width": 1.8 }));
}
