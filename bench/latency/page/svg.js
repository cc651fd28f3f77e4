// Drawing: elements, scales, axes, tooltips. A chart is drawn anew whenever its place changes its width.

const NS = "http" + "://www.w3.org/2000/svg"; // a name, not an address: nothing is loaded from there

function el(tag, attributes = {}, ...children) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function html(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const linear = (from, to, low, high) => {
  const scale = (value) => low + ((value - from) / (to - from || 1)) * (high - low);
  scale.invert = (pixel) => from + ((pixel - low) / (high - low || 1)) * (to - from);
  scale.domain = [from, to];
  return scale;
};

function ticks(from, to, wanted) {
  const raw = (to - from || 1) / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const list = [];
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to + step * 1e-9; k++) list.push(Number((k * step).toPrecision(12)));
  return list;
}

const label = (value) => String(Number(value.toPrecision(6)));
const ms = (value, digits = 1) => `${value.toFixed(digits)} ms`;

// Nearest rank, as everywhere in Latentcast: every figure is a measured one.
function quantile(ordered, share) {
  return ordered.length ? ordered[Math.max(0, Math.ceil(share * ordered.length - 1e-9) - 1)] : 0;
}
const ascending = (values) => [...values].sort((a, b) => a - b);

function axisX(svg, scale, { top, bottom, wanted = 6, unit = "", values = null, names = null }) {
  const marks = values ?? ticks(...scale.domain, wanted);
  marks.forEach((value, i) => {
    const x = scale(value);
    svg.append(el("line", { class: "grid", x1: x, x2: x, y1: top, y2: bottom }));
    svg.append(el("text", { x, y: bottom + 16, "text-anchor": "middle" }, names ? names[i] : label(value)));
  });
  svg.append(el("line", { class: "axis", x1: scale(scale.domain[0]), x2: scale(scale.domain[1]), y1: bottom, y2: bottom }));
  if (unit) svg.append(el("text", { x: scale(scale.domain[1]), y: bottom + 32, "text-anchor": "end" }, unit));
}

function axisY(svg, scale, { left, right, wanted = 5, unit = "" }) {
  for (const value of ticks(...scale.domain, wanted)) {
    const y = scale(value);
    svg.append(el("line", { class: "grid", x1: left, x2: right, y1: y, y2: y }));
    svg.append(el("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, label(value)));
  }
  if (unit) svg.append(el("text", { x: left - 8, y: scale(scale.domain[1]) - 10, "text-anchor": "start" }, unit));
}

const tip = html("div", { class: "tip", role: "status", hidden: "" });
function showTip(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${event.clientY + 16 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 16}px`;
}
const hideTip = () => { tip.hidden = true; };

const charts = [];
// draw(svg, width, height) fills the SVG of the element with that id; no such element, no chart.
function chart(id, height, draw, description) {
  const place = document.getElementById(id);
  if (!place) return () => {};
  let drawn = 0;
  const redraw = () => {
    const width = Math.max(280, Math.round(place.clientWidth));
    const tall = typeof height === "function" ? height(width) : height;
    const svg = el("svg", { viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": description });
    draw(svg, width, tall);
    place.replaceChildren(svg);
    drawn = width;
  };
  new ResizeObserver(() => { if (Math.round(place.clientWidth) !== drawn) redraw(); }).observe(place);
  redraw();
  charts.push(id);
  return redraw;
}

// Calls move({x, y}, event) while a pointer is over that part of the chart, in the chart's own pixels.
function hover(svg, box, { move, leave = hideTip, click = null, drag = null }) {
  const [left, top, right, bottom] = box;
  const area = el("rect", { class: "hit", x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) });
  const spot = (event) => {
    const frame = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / frame.width;
    return { x: (event.clientX - frame.left) * scale, y: (event.clientY - frame.top) * scale };
  };
  let from = null;
  area.addEventListener("pointermove", (event) => {
    if (from !== null && drag) drag(from, spot(event).x, false);
    else move(spot(event), event);
  });
  area.addEventListener("pointerleave", () => leave());
  area.addEventListener("pointerdown", (event) => { from = spot(event).x; if (drag) area.setPointerCapture(event.pointerId); });
  area.addEventListener("pointerup", (event) => {
    const to = spot(event).x;
    const start = from;
    from = null;
    if (start === null) return;
    if (drag && Math.abs(to - start) > 6) drag(start, to, true);
    else if (click) click({ x: to, y: spot(event).y }, event);
  });
  svg.append(area);
}
