// The six charts of a stream: which numbers, in which colours. All viewers, or one of them.

import * as format from "./format.js";
import { Plot } from "./plot.js";

export const STAGES = ["wait", "encode", "send", "network", "queue", "decode", "present"];
export const VIEWER_COLOURS = 8;

const viewerOf = (stream, id) => stream.viewers.find((viewer) => viewer.id === id);
const renditionOf = (stream, index) => stream.renditions.find((rendition) => rendition.index === index);

export class Charts {
  constructor(parent) {
    this.plots = {
      bitrate: plot("bitrate", "Bitrate", "sent to a viewer, and its target", format.bitrate, format.shortBitrate, 1e5),
      latency: plot("latency", "Latency by stage", "", format.milliseconds, format.shortMilliseconds, 40),
      frames: plot("frames", "Frame sizes", "one bar a frame", format.bytes, format.bytes, 1000, { time: false }),
      qp: plot("qp", "QP", "the higher, the finer", format.whole, format.whole, 64),
      loss: plot("loss", "Packet loss", "share of media packets", format.percent, format.percent, 0.02),
      queue: plot("queue", "Queue", "delay that stands on the path", format.milliseconds, format.shortMilliseconds, 20),
    };
    parent.append(...Object.values(this.plots).map((plot) => plot.node));
    document.addEventListener("themechange", () => Object.values(this.plots).forEach((plot) => plot.rebuild()));
  }

  /** stream: the newest snapshot of the one shown. only: a viewer's id, or null for all. colours: Map id -> slot. */
  update(history, stream, only, colours) {
    const viewers = stream.viewers.filter((viewer) => (only === null ? colours.has(viewer.id) : viewer.id === only));
    const columns = (readers) => history.columns(stream.name, readers);
    this.bitrate(columns, stream, viewers, only, colours);
    this.perViewer("loss", columns, viewers, colours, (viewer) => viewer.loss);
    this.perViewer("queue", columns, viewers, colours, (viewer) => viewer.queue_ms);
    this.qp(columns, stream, viewers, only);
    this.frames(history, stream, viewers, only);
    this.latency(columns, stream, only);
  }

  perViewer(name, columns, viewers, colours, read) {
    const series = viewers.map((viewer) => line(viewer, colours));
    const readers = viewers.map(
      ({ id }) =>
        (at) =>
          known(viewerOf(at, id), read),
    );
    this.plots[name].set(series, columns(readers), "Nobody is watching.");
  }

  bitrate(columns, stream, viewers, only, colours) {
    const series = viewers.map((viewer) => line(viewer, colours));
    const readers = viewers.map(
      ({ id }) =>
        (at) =>
          known(viewerOf(at, id), (viewer) => viewer.sent_bps),
    );
    const target = {
      key: "target",
      label: only === null ? "lowest target" : "target",
      colour: "--target",
      dash: [5, 4],
      width: 1.5,
    };
    const read =
      only === null
        ? (at) => (at.viewers.length ? at.target_bps : null)
        : (at) => known(viewerOf(at, only), (v) => v.target_bps);
    const limit = { key: "limit", label: "rate limit", colour: "--limit", dash: [2, 4], width: 1.25, loose: true };
    this.plots.bitrate.set(
      [...series, target, limit],
      columns([...readers, read, (at) => (at.viewers.length ? at.max_bitrate : null)]),
      "Nobody is watching.",
    );
  }

  qp(columns, stream, viewers, only) {
    const shown =
      only === null ? stream.renditions : stream.renditions.filter(({ index }) => index === viewers[0]?.rendition);
    const series = shown.map(({ index, width, height }) => ({
      key: `r${index}`,
      label: `${width}×${height}`,
      colour: `--rendition-${index}`,
    }));
    const readers = shown.map(
      ({ index }) =>
        (at) =>
          known(renditionOf(at, index), (rendition) => rendition.qp),
    );
    this.plots.qp.set(series, columns(readers), "Nothing is coded while nobody watches.");
  }

  frames(history, stream, viewers, only) {
    const rendition = only === null ? 0 : (viewers[0]?.rendition ?? 0);
    const frames = history.newestFrames(stream.name, rendition);
    const series = [
      { key: "inter", label: "inter", colour: `--rendition-${rendition}`, bars: true },
      { key: "intra", label: "intra", colour: "--intra", bars: true },
    ];
    const data = [
      frames.map((_, i) => i + 1 - frames.length),
      frames.map((f) => (f.intra ? null : f.size)),
      frames.map((f) => (f.intra ? f.size : null)),
    ];
    this.plots.frames.set(series, data, "Nothing is coded while nobody watches.");
  }

  /** Stages of one viewer add up to its total; of several, the slowest is shown. Without any, what the server knows. */
  latency(columns, stream, only) {
    const measuring = stream.viewers.filter(
      (viewer) => known(viewer.figures, (f) => f.p50_ms) !== null && (only === null || viewer.id === only),
    );
    const slowest = measuring.reduce((a, b) => (a && a.figures.p50_ms >= b.figures.p50_ms ? a : b), null);
    const rendition = slowest?.rendition ?? 0;
    const stages = slowest ? STAGES.filter((stage) => stage in slowest.figures.stages_ms) : ["wait", "encode"];
    const read = slowest
      ? (at, stage) => known(viewerOf(at, slowest.id)?.figures, (figures) => figures.stages_ms[stage])
      : (at, stage) => known(renditionOf(at, rendition), (r) => (stage === "wait" ? r.wait_ms : r.encode_ms));
    const [times, ...raw] = columns(stages.map((stage) => (at) => read(at, stage)));
    const sums = stages.map(() => []);
    times.forEach((_, at) => {
      let sum = 0;
      raw.forEach((column, stage) => {
        sum = column[at] === null ? null : sum + Math.max(0, column[at]);
        sums[stage].push(sum);
      });
    });
    // The highest sum is drawn first and the others over it: each stage keeps the band between two sums.
    const order = stages.map((_, i) => stages.length - 1 - i);
    const series = order.map((i) => ({
      key: stages[i],
      label: stages[i],
      colour: `--stage-${stages[i]}`,
      fill: true,
      width: 0.5,
      raw: raw[i],
    }));
    const plot = this.plots.latency;
    plot.set(series, [times, ...order.map((i) => sums[i])], "Nobody measures yet.");
    const who = slowest && `viewer ${slowest.id}${measuring.length > 1 ? ", the slowest" : ""}`;
    plot.setHint(
      slowest
        ? `median ${format.milliseconds(slowest.figures.p50_ms)}, ${who}`
        : "of the server alone: no viewer measures",
    );
  }
}

function plot(id, title, hint, words, axis, atLeast, more = {}) {
  return new Plot({ id, title, hint, format: words, axis, atLeast, ...more });
}

function line(viewer, colours) {
  const slot = colours.get(viewer.id) ?? 0;
  return { key: viewer.id, label: viewer.id, colour: `--viewer-${slot}` };
}

function known(thing, read) {
  return thing ? read(thing) : null;
}
