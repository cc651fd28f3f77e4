// The table of viewers. A click on a row, or Enter, narrows the charts to that viewer.

import { $, el, reconcile, setText } from "./dom.js";
import * as format from "./format.js";

const STATES = { connecting: "connecting", live: "live", leaving: "leaving" };

const COLUMNS = [
  ["Viewer", null],
  ["State", (viewer) => STATES[viewer.state] ?? viewer.state],
  ["Program", (viewer) => viewer.program || "–"],
  ["Address", (viewer) => viewer.address ?? "–"],
  ["Picture", (viewer, stream) => pictureSize(viewer, stream)],
  ["fps", (viewer) => format.rate(viewer.figures?.fps), "number"],
  ["Sent", (viewer) => format.bitrate(viewer.sent_bps), "number"],
  ["Target", (viewer) => format.bitrate(viewer.target_bps), "number"],
  ["Loss", (viewer) => format.percent(viewer.loss), "number"],
  ["Queue", (viewer) => format.milliseconds(viewer.queue_ms), "number"],
  ["Round trip", (viewer) => format.milliseconds(viewer.rtt_ms), "number"],
  [
    "Latency",
    (viewer) => latency(viewer.figures),
    "number",
    "Latency from capture to display: median, and what 95 % of frames keep",
  ],
  ["Drives", (viewer) => viewer.drives, null, "Whether it may drive the screen that is streamed, or does now"],
  ["Watching", (viewer) => format.duration(viewer.seconds), "number"],
];

function pictureSize(viewer, stream) {
  const rendition = stream.renditions.find(({ index }) => index === viewer.rendition);
  return rendition ? `${rendition.width}×${rendition.height}` : "–";
}

function latency(figures) {
  if (!figures || figures.p50_ms === null) return "–";
  return `${Math.round(figures.p50_ms)} / ${Math.round(figures.p95_ms)} ms`;
}

export class ViewerTable {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.body = $("viewers").tBodies[0];
    $("viewers").tHead.rows[0].append(
      ...COLUMNS.map(([name, , kind, title]) =>
        el("th", { scope: "col", class: kind, title }, name === "Latency" ? "Latency p50 / p95" : name),
      ),
    );
  }

  update(stream, selected, colours) {
    const viewers = stream.viewers;
    setText($("viewers-title"), viewers.length ? `Viewers (${viewers.length})` : "Viewers");
    $("no-viewers").hidden = viewers.length > 0;
    this.body.closest(".table-scroll").hidden = viewers.length === 0;
    reconcile(this.body, viewers, {
      key: (viewer) => viewer.id,
      make: (viewer) => this.row(viewer.id),
      update: (row, viewer) => {
        const chosen = viewer.id === selected;
        row.classList.toggle("selected", chosen);
        const [button] = row.getElementsByTagName("button");
        button.setAttribute("aria-pressed", String(chosen));
        const slot = colours.get(viewer.id);
        button.firstElementChild.style.setProperty(
          "--swatch",
          slot === undefined ? "transparent" : `var(--viewer-${slot})`,
        );
        COLUMNS.forEach(([, read], i) => read && setText(row.cells[i], read(viewer, stream)));
        row.cells[1].dataset.state = viewer.state;
      },
    });
  }

  row(id) {
    const button = el(
      "button",
      { type: "button", class: "row-button", title: "Show only this viewer in the charts" },
      el("span", { class: "swatch" }),
      id,
    );
    const cells = COLUMNS.map(([name, read, kind]) =>
      el("td", { class: kind, "data-label": name }, read ? "" : button),
    );
    return el("tr", { onclick: () => this.onSelect(id) }, ...cells);
  }
}
