// The streams as tabs, and the head of the one that is shown: state, facts, how to watch it and publish to it.

import { $, el, reconcile, sentence, setText } from "./dom.js";
import * as format from "./format.js";

const STATES = { starting: "starting", waiting: "waiting", live: "live", ended: "ended" };

export class Tabs {
  constructor(onSelect) {
    this.onSelect = onSelect;
  }

  update(streams, selected) {
    $("tabs").hidden = streams.length === 0;
    reconcile($("tabs"), streams, {
      key: (stream) => stream.name,
      make: (stream) =>
        el(
          "button",
          { type: "button", class: "tab", onclick: () => this.onSelect(stream.name) },
          el("span", { class: "dot" }),
          el("span", { class: "tab-name" }),
          el("span", { class: "tab-facts muted" }),
        ),
      update: (tab, stream) => {
        const [dot, name, facts] = tab.children;
        dot.dataset.state = stream.state;
        setText(name, stream.name);
        const watching = stream.viewers.filter((viewer) => viewer.state === "live").length;
        const what = stream.state === "live" ? format.plural(watching, "viewer") : STATES[stream.state];
        setText(facts, `${stream.kind}, ${what}`);
        if (stream.name === selected) tab.setAttribute("aria-current", "true");
        else tab.removeAttribute("aria-current");
      },
    });
  }
}

/** Fill in the head of the stream that is shown. */
export function showHead(stream, { tokenWanted }) {
  setText($("stream-name"), stream.name);
  const pill = $("stream-state");
  setText(pill, STATES[stream.state]);
  pill.dataset.state = stream.state;
  $("stream-reason").hidden = !stream.reason;
  setText($("stream-reason"), stream.reason ? sentence(stream.reason) : "");
  $("stream-reason").dataset.state = stream.state;
  const facts = factsOf(stream);
  reconcile($("facts"), facts, {
    key: ([name]) => name,
    make: ([name]) => el("div", {}, el("dt", { class: "muted" }, name), el("dd", {})),
    update: (node, [, value]) => setText(node.lastElementChild, value),
  });
  const gone = stream.state === "ended";
  setText($("command"), viewCommand(stream.name, tokenWanted));
  $("command").parentElement.hidden = gone;
  $("publish").hidden = gone || !stream.publishable;
  $("publish-link").href = `/publish?stream=${encodeURIComponent(stream.name)}`;
  setText($("whip-url"), `${location.origin}/v1/streams/${encodeURIComponent(stream.name)}/whip`);
  setText($("stop"), gone ? "Remove" : "Stop");
  $("intra").disabled = $("limit-value").disabled = gone;
  $("limit").hidden = $("intra").hidden = gone;
}

/** What to type to watch a stream. A token is not shown: what is on a screen gets photographed. */
export function viewCommand(name, tokenWanted) {
  return `latentcast view ${location.origin} --stream ${name}${tokenWanted ? " --token TOKEN" : ""}`;
}

function factsOf(stream) {
  const renditions = stream.renditions.map((r) => `${r.width}×${r.height} (${r.viewers})`).join(", ");
  const publisher = stream.publishable ? [["Publisher", publisherOf(stream.publisher)]] : [];
  return [
    ["Source", stream.source.startsWith(stream.kind) ? stream.source : `${stream.kind}: ${stream.source}`],
    ...publisher,
    ["Picture", `${stream.width}×${stream.height} at ${format.rate(stream.fps)} fps`],
    ["Captured", captured(stream)],
    ["Coded", coded(stream.renditions[0])],
    ["Encode time", encodeTime(stream.renditions[0])],
    ["Renditions (viewers)", renditions || "–"],
    ["Sound", stream.audio ? "yes" : "no"],
  ];
}

function publisherOf(publisher) {
  if (!publisher) return "none";
  if (publisher.state !== "live") return publisher.state;
  const size = publisher.size ? ` ${publisher.size[0]}×${publisher.size[1]}` : "";
  return `${publisher.codec}${size}, ${format.rate(publisher.fps)} fps, ${format.bitrate(publisher.bps)}`;
}

/** Pictures that no encoder took count only where one should have. */
function captured(stream) {
  const missed = stream.viewers.length > 0 && stream.dropped_fps > 0.2;
  return `${format.rate(stream.captured_fps)} fps${missed ? `, ${format.rate(stream.dropped_fps)} not taken` : ""}`;
}

function coded(best) {
  if (!best || !best.fps) return "nobody watches";
  return `${format.rate(best.fps)} fps, ${format.bitrate(best.bps)}`;
}

function encodeTime(best) {
  if (!best || best.encode_ms === null) return "–";
  return `${format.milliseconds(best.encode_ms)}, p95 ${format.milliseconds(best.encode_p95_ms)}`;
}
