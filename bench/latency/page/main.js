// Fills the page from the embedded document and draws everything.

const D = JSON.parse(document.getElementById("data").textContent);
const F = D.frames;
const STAGES = Object.keys(D.timestamps.stages);
document.body.append(tip);

const put = (id, ...content) => document.getElementById(id)?.replaceChildren(...content);
const dropped = (id) => document.getElementById(id)?.remove();
const range = ([low, high]) => `${low.toFixed(1)} to ${high.toFixed(1)}`;
// Commands are written `like this` in the texts of the document.
const inCode = (text) => text.split("`").map((piece, i) => (i % 2 ? html("code", {}, piece) : piece));
const note = (part) => {
  const box = html("div", { class: "off-note" }, html("p", {}, ...inCode(`Not run: ${part.why}.`)));
  if (part.how) box.append(html("p", {}, ...inCode(part.how)));
  return box;
};
const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;
const swatch = (fill) => html("span", { class: "swatch", style: `background:${fill}` });
const legend = (id, entries) => put(id, ...entries.map(([name, fill]) => html("li", {}, swatch(fill), name)));

function table(id, head, rows, foot = null) {
  const cells = (values, tag) => html("tr", {}, ...values.map((value) => html(tag, {}, value)));
  const node = html("table", {}, html("thead", {}, cells(head, "th")), html("tbody", {}, ...rows.map((row) => cells(row, "td"))));
  if (foot) node.append(html("tfoot", {}, cells(foot, "td")));
  put(id, node);
}
const percentileCells = (value) => [value.p50, value.p95, value.p99, value.max].map((number) => number.toFixed(1));

function fillHero() {
  const h = D.headline;
  put("number", h.ms.toFixed(h.ms < 100 ? 1 : 0), html("span", {}, "ms"));
  put("error", `between ${h.low.toFixed(1)} and ${h.high.toFixed(1)} ms`);
  const s = D.setup;
  const what = h.method === "pixels" ? "the pixels on the screen" : "the viewer's drawing call";
  const start = h.method === "pixels" && s.source === "screen" ? "being drawn on the shared screen" : "capture";
  put("claim", `Half of all frames took no longer from ${start} to ${what}. Measured over ${D[h.method].frames} frames: ${s.source}, ${s.width}×${s.height} at ${label(s.fps)} frames/s, ${s.link ? `over a link with ${s.link}` : "two processes over loopback"}.`);
}

function fillCards() {
  const t = D.timestamps, p = D.pixels, c = D.camera;
  put("card-1", html("div", { class: "name" }, swatch(METHOD_COLOURS[0]), "1  Timestamps"),
    html("div", { class: "value" }, t.total.p50.toFixed(1), html("span", {}, " ms")),
    html("p", {}, `${t.frames} frames; clocks aligned within ${t.clock_error_ms.toFixed(2)} ms; median ${range(t.p50_interval)} at 95 %`));
  const off = (id, name, part, fill) => {
    document.getElementById(id).classList.add("off");
    put(id, html("div", { class: "name" }, swatch(fill), name), html("div", { class: "value" }, "not run"), html("p", {}, `${part.why}.`));
  };
  if (p.run) put("card-2", html("div", { class: "name" }, swatch(METHOD_COLOURS[1]), "2  Pixels on the screen"),
    html("div", { class: "value" }, p.total.p50.toFixed(1), html("span", {}, " ms")),
    html("p", {}, `${p.frames} bar codes read from the window; median certainly within ${range(p.p50_bound)}, and ${range(p.p50_interval)} at 95 %`));
  else off("card-2", "2  Pixels on the screen", p, METHOD_COLOURS[1]);
  if (c.run) put("card-3", html("div", { class: "name" }, swatch(METHOD_COLOURS[2]), "3  Camera loop"),
    html("div", { class: "value" }, c.delay.p50.toFixed(0), html("span", {}, " ms")),
    html("p", {}, `${c.pairs} pictures with both bar codes (${c.through}); each is good to a frame interval, ${c.interval.toFixed(0)} ms`));
  else off("card-3", "3  Camera loop", c, METHOD_COLOURS[2]);
}

function fillMethods() {
  const a = D.agreement, p = D.pixels;
  if (a.run === false) {
    put("verdict", "There is nothing to compare frame by frame.");
    put("difference-block", note(a), ...(p.run ? [] : [note(p)]));
    return;
  }
  const verdict = document.getElementById("verdict");
  verdict.classList.toggle("bad", !a.agree);
  const size = `${Math.abs(a.p50_difference).toFixed(1)} ms`;
  put("verdict", a.agree ? `They agree: the medians are ${size} apart, the limit is ${label(a.limit)} ms.` : `They do not agree: the medians are ${size} apart, more than the ${label(a.limit)} ms allowed.`);
  put("difference-text", `The same ${a.frames} frames, paired by frame number. The middle of the differences is ${ms(a.difference.p50, 2)}; nine in ten lie between ${a.difference.p5.toFixed(1)} and ${a.difference.p95.toFixed(1)} ms. A grab cannot tell two instants apart that are closer than its bound (vertical lines, median ${p.bound.p50.toFixed(1)} ms); ${(100 * a.within_bound).toFixed(0)} % of the frames differ by no more than that. Below zero the picture was on the screen before the drawing call had returned.`);
  const odd = [];
  if (p.unseen) odd.push(`${counted(p.unseen, "presented frame is", "presented frames are")} on no grab, replaced between two of them`);
  if (p.contradicting) odd.push(`${counted(p.contradicting, "picture claims", "pictures claim")} another capture time than their frame's header`);
  odd.push(`${p.grabs} grabs, each ${p.grab_ms.toFixed(1)} ms, ${p.unreadable} without a readable bar code`);
  put("grab-text", `${odd.join("; ")}.`);
}

function fillStages() {
  const t = D.timestamps;
  table("stage-table", ["stage, ms", "p50", "p95", "p99", "max"], STAGES.map((stage) => [stage, ...percentileCells(t.stages[stage])]), ["total", ...percentileCells(t.total)]);
  put("stage-note", `Frame by frame the stages add up to the total, to ${t.residual_ms < 0.0005 ? "the microsecond" : `${t.residual_ms.toFixed(4)} ms`}. Percentiles of stages do not: the frame that waits longest is not the one that decodes slowest. Each bar is therefore the mean of the frames around that percentile of the total, and adds up.`);
  legend("stage-legend", STAGES.map((stage) => [stage, colour(stage)]));
}

function fillConditions() {
  for (const sweep of D.sweeps) {
    const id = `sweep-${sweep.parameter}`;
    put(`${id}-text`, `${sweep.points.length} conditions, ${sweep.points[0].runs.length} runs of ${label(sweep.seconds)} s each${sweep.link ? `, over ${sweep.link}` : ""}. Points are medians of the runs, bars reach from the lowest to the highest.`);
    legend(`${id}-legend`, [["p50", "var(--accent)"], ["p95", "var(--faint)"]]);
    chart(id, 280, (svg, width, height) => drawSweep(svg, width, height, sweep), `Latency against ${sweep.parameter}`);
    table(`${id}-table`, [`${sweep.parameter}, ${sweep.unit}`, "p50", "p95", "presented", "kbit/s"], sweep.points.map((point) => [label(point.value), point.p50.toFixed(1), point.p95.toFixed(1), `${(100 * point.presented).toFixed(1)} %`, (point.sent_bps / 1e3).toFixed(0)]));
  }
  if (D.sweeps.length) dropped("sweeps-off");
  else dropped("sweeps-on");
}

function fillInput() {
  const i = D.input;
  if (!i.run) {
    put("input-block", note(i));
    return;
  }
  put("input-text", `${i.presses} key presses, each until its pixel had changed in the decoded picture: p50 ${ms(i.decoded.p50, 0)}, p95 ${ms(i.decoded.p95, 0)}. Target for p50: ${label(i.target)} ms.${i.lost ? ` ${counted(i.lost, "press was", "presses were")} never answered.` : ""}`);
  const w = i.window;
  put("input-window", ...inCode(w.run ? `From the keyboard of a viewer with a window to the pixels on its screen, both ends outside of the programs: p50 ${ms(w.total.p50, 0)}, p95 ${ms(w.total.p95, 0)} over ${w.presses} presses, each ± ${w.bound.p50.toFixed(1)} ms; the desktop had the key after ${ms(w.to_desktop.p50)}.` : `In a window: not run, ${w.why}.`));
  const names = Object.keys(i.parts);
  legend("input-legend", names.map((name, k) => [name, partColour(name, k)]));
  chart("input-chart", 280, drawPresses, "Time from every key press to the changed pixel, in parts");
  table("input-table", ["part, ms", "p50", "p95", "p99", "max"], names.map((name) => [name, ...percentileCells(i.parts[name])]), ["key to pixel", ...percentileCells(i.decoded)]);
}

function fillFacts() {
  const s = D.setup, m = D.machine, t = D.timestamps;
  const rows = { "started": D.started, "command": D.command, "Latentcast": D.latentcast, "codec": s.profile, "processor": `${m.cpu}, ${m.cores} cores`,
    "system": m.system, "Python": m.python, "ONNX Runtime": m.onnxruntime, "aiortc": m.aiortc,
    "display": `${s.display}${s.x_server ? `, ${s.x_server}` : ""}`, "screen and window": s.screen && s.window ? `${s.screen.join("×")}, window ${s.window.join("×")}` : "not looked at",
    "rate limit": `${label(s.max_bitrate_bps / 1e3)} kbit/s`, "measured": `${label(s.seconds)} s, after ${label(s.warm_up_s)} s that do not count` };
  put("facts", html("table", { class: "facts" }, ...Object.entries(rows).map(([name, value]) => html("tr", {}, html("th", {}, name), html("td", {}, value)))));
  const truth = s.same_clock ? " Both programs ran on one machine, where the true offset is zero: the line's distance from zero is the error that the alignment really made." : "";
  put("clock-text", `The viewer's timestamps are moved to the server's clock before they are subtracted. The alignment was off by at most ${t.clock_error_ms.toFixed(3)} ms (shaded); that shifts the total and the network stage, nothing else.${truth}`);
}

function save(name, type, text) {
  const link = html("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
function framesCsv() {
  const columns = { frame: F.number, time_s: F.time_s, captured_us: F.captured_us, presented_us: F.presented_us, offset_us: F.offset_us };
  for (const stage of STAGES) columns[`${stage}_ms`] = F.stages[stage];
  Object.assign(columns, { total_ms: F.total, pixels_ms: F.pixels, pixels_bound_ms: F.bound, qp: F.qp, intra: F.intra.map(Number) });
  const lines = F.number.map((_, i) => Object.values(columns).map((column) => column[i] ?? "").join(","));
  return `${Object.keys(columns).join(",")}\n${lines.join("\n")}\n`;
}

selected = medianFrame();
fillHero();
fillCards();
fillMethods();
fillStages();
fillConditions();
fillInput();
put("camera-block", D.camera.run ? html("p", {}, `Through ${D.camera.through}: ${D.camera.images} pictures looked at, both bar codes read in ${D.camera.pairs}: p50 ${ms(D.camera.delay.p50, 0)}, largest ${ms(D.camera.delay.max, 0)}. Neither screen changes more often than every ${ms(D.camera.interval, 0)}, so a single photograph says no more than that; many do.`) : note(D.camera));
fillFacts();

chart("methods-chart", () => 52 + 84 * methodRows().length, drawMethods, "How the latencies of each method are spread");
if (D.agreement.run !== false) chart("difference-chart", 300, drawDifference, "Difference of the two methods, frame by frame");
chart("stages-chart", 150, drawStages, "Stages at p50, p95 and p99 of the total");
const redrawFrame = chart("frame-chart", () => 60 + 30 * (STAGES.length + (D.pixels.run ? 1 : 0)), drawFrame, "One frame from capture to display");
const redrawTime = chart("time-chart", 320, drawTime, "Latency of every frame over time, by stage");
chart("histogram-chart", 260, drawHistogram, "How often each latency occurred");
chart("clock-chart", 240, drawClock, "Offset between the two clocks over time");
legend("histogram-legend", [["timestamps", METHOD_COLOURS[0]], ...(D.pixels.run ? [["pixels on the screen", METHOD_COLOURS[1]]] : [])]);
legend("time-legend", STAGES.map((stage) => [stage, colour(stage)]));

const slider = document.getElementById("frame-slider");
slider.max = F.number.length - 1;
function select(i) {
  selected = i;
  slider.value = i;
  put("frame-text", describeFrame());
  redrawFrame();
  redrawTime();
}
function zoom(range) {
  view = range;
  document.getElementById("zoom-out").hidden = range === null;
  redrawTime();
}
slider.addEventListener("input", () => select(Number(slider.value)));
document.getElementById("frame-median").addEventListener("click", () => select(medianFrame()));
document.getElementById("frame-slowest").addEventListener("click", () => select(F.total.indexOf(Math.max(...F.total))));
document.getElementById("zoom-out").addEventListener("click", () => zoom(null));
document.getElementById("save-json").addEventListener("click", () => save("latency.json", "application/json", `${JSON.stringify(D, null, 2)}\n`));
document.getElementById("save-csv").addEventListener("click", () => save("frames.csv", "text/csv", framesCsv()));
select(selected);
document.documentElement.dataset.charts = charts.join(" ");
