// One chart: a card with a title, a uPlot canvas and a legend that shows values, the newest or those under the pointer.

import { el, setText } from "./dom.js";

const SYNC = uPlot.sync("charts");
const HEIGHT = 168;
const SPANS_S = [30, 60, 120];
const NICE = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** The colour a custom property has in the current theme. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** A round number above `value`: the scale stays still while values wobble. */
function ceiling(value, atLeast) {
  const wanted = Math.max(value * 1.08, atLeast);
  const unit = 10 ** Math.floor(Math.log10(wanted));
  return unit * NICE.find((step) => step * unit >= wanted * 0.999999);
}

function ago(seconds) {
  return seconds === 0 ? "now" : `−${Math.round(seconds)} s`;
}

export class Plot {
  /**
   * id, title, hint: what is drawn. format: a value as text, axis: the same, short. atLeast: smallest top of the scale.
   * time: the horizontal axis is time, else it counts the newest `count` frames.
   */
  constructor({ id, title, hint, format, axis, atLeast, time = true, count = 150 }) {
    Object.assign(this, { title, format, atLeast, axis, time, count });
    this.series = [];
    this.data = [[]];
    this.legend = el("ul", { class: "legend" });
    this.canvas = el("div", { class: "canvas", role: "img" });
    this.nothing = el("p", { class: "nothing muted" });
    this.hint = el("span", { class: "hint muted" }, hint);
    this.node = el(
      "section",
      { class: "card chart", id: `chart-${id}`, "aria-labelledby": `chart-${id}-title` },
      el("h4", { id: `chart-${id}-title` }, `${title} `, this.hint),
      el("div", { class: "plot" }, this.canvas, this.nothing),
      this.legend,
    );
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  /**
   * series: [{key, label, colour, width?, dash?, fill?, bars?, raw?, loose?}], one for each data column after the
   * first. raw: the column to read values from, where what is drawn is a sum. loose: the scale does not stretch for it;
   * it is drawn where it fits. nothing: said when no column has a value.
   */
  set(series, data, nothing = "") {
    const signature = JSON.stringify(series.map(({ raw, ...rest }) => rest));
    this.series = series;
    this.data = data;
    const empty = !data.slice(1).some((column) => column.some((value) => value !== null));
    setText(this.nothing, empty ? nothing : "");
    this.node.classList.toggle("is-empty", empty);
    if (signature !== this.signature) {
      this.signature = signature;
      this.rebuild();
    } else {
      this.plot?.setData(data);
    }
    this.showValues(this.plot?.cursor.idx ?? null);
  }

  setHint(text) {
    setText(this.hint, text);
  }

  resize() {
    const width = this.canvas.clientWidth;
    if (!this.plot) this.rebuild();
    else if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  /** Also after a change of theme: a canvas does not know of custom properties. */
  rebuild() {
    this.plot?.destroy();
    this.plot = null;
    const width = this.canvas.clientWidth;
    if (width === 0 || this.signature === undefined) return;
    this.plot = new uPlot(this.options(width), this.data, this.canvas);
    this.makeLegend();
  }

  options(width) {
    const muted = colour("--muted");
    const axis = { stroke: muted, font: "11px system-ui, sans-serif", ticks: { show: false } };
    const horizontal = this.time ? this.timeAxis() : this.countAxis();
    return {
      width,
      height: HEIGHT,
      padding: [8, 22, 0, 0],
      legend: { show: false },
      cursor: {
        ...(this.time ? { sync: { key: SYNC.key, setSeries: false } } : {}),
        drag: { x: false, y: false },
        y: false,
        points: { size: 6 },
      },
      scales: {
        x: { time: false, range: horizontal.range },
        y: { range: () => [0, ceiling(this.highest(), this.atLeast)] },
      },
      axes: [
        { ...axis, size: 26, gap: 8, grid: { show: false }, splits: horizontal.splits, values: horizontal.values },
        {
          ...axis,
          size: 48,
          gap: 8,
          grid: { stroke: colour("--grid"), width: 1 },
          splits: (_, __, low, high) => [0, 1, 2, 3, 4].map((step) => (high * step) / 4),
          values: (_, splits) => splits.map((value, i) => (i % 2 ? "" : value === 0 ? "0" : this.axis(value))),
        },
      ],
      series: [{}, ...this.series.map((series) => this.lineOptions(series))],
      hooks: { setCursor: [(plot) => this.showValues(plot.cursor.idx)] },
    };
  }

  highest() {
    const column = (i) => this.data[i + 1].reduce((high, value) => (value > high ? value : high), 0);
    const of = (loose) =>
      Math.max(0, ...this.series.map((series, i) => (Boolean(series.loose) === loose ? column(i) : 0)));
    const high = of(false);
    return of(true) < 1.4 * high ? Math.max(high, of(true)) : high;
  }

  timeAxis() {
    const newest = () => this.data[0].at(-1) ?? 0;
    // Half a minute of data in a chart of two would be a smudge at its edge.
    const span = () => SPANS_S.find((seconds) => seconds >= newest() - (this.data[0][0] ?? 0)) ?? SPANS_S.at(-1);
    return {
      range: () => [newest() - span(), newest()],
      splits: () => [3, 2, 1, 0].map((thirds) => newest() - (thirds * span()) / 3),
      values: (_, splits) => splits.map((at) => ago(newest() - at)),
    };
  }

  countAxis() {
    return {
      range: () => [-this.count - 0.5, 0.5],
      splits: () => [-this.count, -this.count / 2, 0],
      values: (_, splits) => splits.map((at) => (at === 0 ? "newest" : `${-at} ago`)),
    };
  }

  lineOptions({ colour: name, width = 1.75, dash, fill, bars }) {
    const stroke = colour(name);
    const options = { stroke, width, dash, points: { show: false }, spanGaps: false };
    if (fill) options.fill = stroke;
    if (bars) Object.assign(options, { fill: stroke, width: 0, paths: uPlot.paths.bars({ size: [0.7, 12, 1] }) });
    return options;
  }

  makeLegend() {
    this.values = [];
    this.legend.replaceChildren(
      ...this.series.map((series) => {
        const value = el("span", { class: "value" });
        this.values.push(value);
        const swatch = el("span", { class: `swatch${series.dash ? " dashed" : ""}`, "data-colour": series.colour });
        swatch.style.setProperty("--swatch", `var(${series.colour})`);
        return el("li", {}, swatch, el("span", { class: "label" }, series.label), value);
      }),
    );
  }

  showValues(index) {
    if (!this.values) return;
    const words = [];
    this.series.forEach((series, i) => {
      const column = series.raw ?? this.data[i + 1];
      const value = index === null || index === undefined ? column?.findLast((v) => v !== null) : column?.[index];
      const text = this.format(value ?? null);
      setText(this.values[i], text);
      words.push(`${series.label} ${text}`);
    });
    if (index === null || index === undefined) {
      this.canvas.setAttribute("aria-label", `${this.title}: ${words.join(", ") || "nothing yet"}`);
    }
  }
}
