// Latency against bitrate and loss, and from a key press to the changed pixel.

function drawSweep(svg, width, height, sweep) {
  const left = 44, right = width - 14, top = 26, bottom = height - 40;
  const points = sweep.points;
  const y = linear(0, Math.max(...points.map((point) => point.p95_spread[1]), 1) * 1.06, bottom, top);
  // Conditions are steps, not a continuum: evenly spaced, in order.
  const x = linear(-0.35, points.length - 0.65, left, right);
  axisY(svg, y, { left, right, unit: "ms" });
  axisX(svg, x, { top, bottom, unit: sweep.unit, values: points.map((_, i) => i), names: points.map((point) => label(point.value)) });
  for (const [key, stroke, dash] of [["p95", "var(--faint)", "6 4"], ["p50", "var(--accent)", null]]) {
    const path = points.map((point, i) => `${x(i)},${y(point[key])}`).join("L");
    svg.append(el("path", { d: `M${path}`, fill: "none", stroke, "stroke-width": 2, "stroke-dasharray": dash }));
    points.forEach((point, i) => {
      const [low, high] = point[`${key}_spread`];
      for (const bar of [`M${x(i)},${y(low)}V${y(high)}`, `M${x(i) - 5},${y(low)}h10`, `M${x(i) - 5},${y(high)}h10`])
        svg.append(el("path", { d: bar, stroke, "stroke-width": 1.5, fill: "none" }));
      svg.append(el("circle", { cx: x(i), cy: y(point[key]), r: 4.5, fill: stroke }));
    });
  }
  points.forEach((point, i) => {
    const area = el("rect", { class: "hit", x: x(i - 0.35), y: top, width: x(i + 0.35) - x(i - 0.35), height: bottom - top });
    area.addEventListener("pointermove", (event) => showTip(event, [
      `${label(point.value)} ${sweep.unit}, ${point.runs.length} runs of ${sweep.seconds} s`,
      `p50 ${ms(point.p50)} (${point.p50_spread.map((value) => value.toFixed(1)).join(" to ")})`,
      `p95 ${ms(point.p95)} (${point.p95_spread.map((value) => value.toFixed(1)).join(" to ")})`,
      `presented ${(100 * point.presented).toFixed(1)} %, sent ${(point.sent_bps / 1e3).toFixed(0)} kbit/s`,
    ].join("\n")));
    area.addEventListener("pointerleave", hideTip);
    svg.append(area);
  });
}

// Stages keep their colours; what comes before them is grey.
const partColour = (name, i) => (STAGES.includes(name) ? colour(name) : ["var(--faint)", "var(--grey)"][i % 2]);

function drawPresses(svg, width, height) {
  const names = Object.keys(D.input.parts);
  const samples = [...D.input.samples].sort((a, b) => a.reduce((s, v) => s + v, 0) - b.reduce((s, v) => s + v, 0));
  const sums = samples.map((parts) => parts.reduce((s, v) => s + v, 0));
  const left = 44, right = width - 8, top = 24, bottom = height - 38;
  const x = linear(0, samples.length, left, right), y = linear(0, Math.max(D.input.target, ...sums) * 1.06, bottom, top);
  axisY(svg, y, { left, right, unit: "ms" });
  samples.forEach((parts, k) => {
    let at = 0;
    parts.forEach((part, i) => {
      svg.append(el("rect", { x: x(k) + 0.5, y: y(at + part), width: Math.max(1, x(k + 1) - x(k) - 1), height: Math.max(0, y(at) - y(at + part)), fill: partColour(names[i], i) }));
      at += part;
    });
    const area = el("rect", { class: "hit", x: x(k), y: top, width: x(k + 1) - x(k), height: bottom - top });
    area.addEventListener("pointermove", (event) => showTip(event, [`${ms(sums[k])} in all`, ...names.map((name, i) => `${name} ${parts[i].toFixed(1)}`)].join("\n")));
    area.addEventListener("pointerleave", hideTip);
    svg.append(area);
  });
  svg.append(el("line", { x1: left, x2: right, y1: y(D.input.target), y2: y(D.input.target), stroke: "var(--ink)", "stroke-dasharray": "7 4" }));
  svg.append(el("text", { class: "strong", x: left + 6, y: y(D.input.target) - 5 }, `target for p50: ${label(D.input.target)} ms`));
  svg.append(el("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  svg.append(el("text", { x: right, y: bottom + 18, "text-anchor": "end" }, "key presses, fastest first"));
}
