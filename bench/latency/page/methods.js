// The methods beside each other: how their figures are spread, and by how much they differ frame by frame.

const METHOD_COLOURS = ["var(--accent)", "var(--second)", "var(--good)"];

function density(values, from, to, bins) {
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[Math.min(bins - 1, Math.max(0, Math.floor(((value - from) / (to - from)) * bins)))]++;
  return counts;
}

function methodRows() {
  const rows = [{ name: "1  timestamps", values: ascending(F.total), low: D.timestamps.p50_interval[0] - D.timestamps.clock_error_ms,
    high: D.timestamps.p50_interval[1] + D.timestamps.clock_error_ms, colour: METHOD_COLOURS[0] }];
  if (D.pixels.run) {
    const values = ascending(F.pixels.filter((value) => value !== null));
    const p50 = quantile(values, 0.5);
    rows.push({ name: "2  pixels on screen", values, colour: METHOD_COLOURS[1],
      low: D.pixels.p50_interval[0] - (p50 - D.pixels.p50_bound[0]), high: D.pixels.p50_interval[1] + (D.pixels.p50_bound[1] - p50) });
  }
  if (D.camera.run) rows.push({ name: "3  camera loop", values: ascending(D.camera.delays), colour: METHOD_COLOURS[2], bin: D.camera.interval, low: D.camera.p50_interval[0], high: D.camera.p50_interval[1] });
  return rows;
}

function drawMethods(svg, width) {
  const rows = methodRows();
  const left = width < 560 ? 4 : 150;
  const right = width - 12;
  const all = ascending(rows.flatMap((row) => row.values));
  const from = Math.max(0, Math.floor(quantile(all, 0.002) * 0.9));
  const to = quantile(all, 0.995) * 1.04;
  const x = linear(from, to, left, right);
  const step = 84;
  axisX(svg, x, { top: 10, bottom: 10 + step * rows.length, unit: "ms from capture" });
  rows.forEach((row, i) => {
    const base = 10 + step * (i + 1) - 22;
    const bins = row.bin ? Math.max(4, Math.round((to - from) / row.bin)) : Math.round((right - left) / 7);
    const counts = density(row.values.filter((value) => value >= from && value <= to), from, to, bins);
    const peak = Math.max(...counts, 1);
    const points = counts.map((count, k) => `${left + ((k + 0.5) * (right - left)) / bins},${base - (count / peak) * (step - 34)}`);
    svg.append(el("path", { d: `M${left},${base}L${points.join("L")}L${right},${base}Z`, fill: row.colour, "fill-opacity": 0.25, stroke: row.colour, "stroke-width": 1.3 }));
    const p50 = quantile(row.values, 0.5);
    svg.append(el("line", { x1: x(Math.max(from, row.low)), x2: x(row.high), y1: base + 9, y2: base + 9, stroke: row.colour, "stroke-width": 5, "stroke-opacity": 0.45 }));
    svg.append(el("line", { x1: x(p50), x2: x(p50), y1: base - (step - 34), y2: base + 14, stroke: row.colour, "stroke-width": 2 }));
    svg.append(el("text", { class: "strong", x: x(p50) + 6, y: base + 19 }, `${p50.toFixed(1)}`));
    if (left > 20) svg.append(el("text", { class: "strong", x: 0, y: base - 6 }, row.name));
    else svg.append(el("text", { class: "strong", x: right, y: base - step + 40, "text-anchor": "end" }, row.name));
  });
}

function drawDifference(svg, width, height) {
  const left = 44, right = width - 8, top = 24, bottom = height - 38;
  const index = F.number.map((_, i) => i).filter((i) => F.pixels[i] !== null);
  const points = index.map((i) => ({ i, t: F.time_s[i], d: F.pixels[i] - F.total[i], b: F.bound[i] }));
  const ordered = ascending(points.map((point) => point.d));
  const reach = Math.max(D.agreement.limit * 1.15, Math.abs(quantile(ordered, 0.02)), Math.abs(quantile(ordered, 0.98)));
  const x = linear(0, F.time_s[F.time_s.length - 1] || 1, left, right);
  const y = linear(-reach, reach, bottom, top);
  axisX(svg, x, { top, bottom, unit: "s", wanted: width < 560 ? 4 : 10 });
  axisY(svg, y, { left, right, unit: "method 2 − method 1, ms" });
  svg.append(el("rect", { x: left, y: y(D.agreement.limit), width: right - left, height: y(-D.agreement.limit) - y(D.agreement.limit), fill: "var(--good)", "fill-opacity": 0.07 }));
  svg.append(el("line", { class: "axis", x1: left, x2: right, y1: y(0), y2: y(0) }));
  const clamp = (value) => Math.min(bottom, Math.max(top, y(value)));
  const bars = points.map((point) => `M${x(point.t).toFixed(1)},${clamp(point.d - point.b).toFixed(1)}V${clamp(point.d + point.b).toFixed(1)}`);
  svg.append(el("path", { d: bars.join(""), stroke: "var(--second)", "stroke-opacity": 0.3, "stroke-width": Math.max(1, Math.min(3, (right - left) / points.length / 2)) }));
  const dots = points.map((point) => `M${x(point.t).toFixed(1)},${clamp(point.d).toFixed(1)}h0`);
  svg.append(el("path", { d: dots.join(""), stroke: "var(--second)", "stroke-width": 3, "stroke-linecap": "round" }));
  hover(svg, [left, top, right, bottom], { move: (spot, event) => {
    const t = x.invert(spot.x);
    const near = points.reduce((best, point) => (Math.abs(point.t - t) < Math.abs(best.t - t) ? point : best), points[0]);
    showTip(event, `frame ${F.number[near.i]}\ntimestamps ${ms(F.total[near.i])}\npixels ${ms(F.pixels[near.i])} ± ${near.b.toFixed(1)}\ndifference ${ms(near.d)}`);
  }, click: (spot) => {
    const t = x.invert(spot.x);
    select(points.reduce((best, point) => (Math.abs(point.t - t) < Math.abs(best.t - t) ? point : best), points[0]).i);
  } });
}
