// The form that starts a source. Kinds are built in; what this machine really has comes from GET /v1/sources.

import { ApiError, change, open } from "./api.js";
import { $, el, sentence, showError } from "./dom.js";

const KINDS = [
  { kind: "pattern", label: "Test pattern", help: "A moving picture with the capture time as a bar code in it." },
  {
    kind: "webcam",
    label: "Webcam",
    help: "A camera of the server's machine.",
    notes: "cameras",
    field: { label: "Camera", placeholder: "the first one", optional: true },
  },
  {
    kind: "screen",
    label: "Screen",
    help: "A screen, region or window of the server's machine.",
    notes: "screens",
    field: { label: "Part", placeholder: "all of it, or monitor=1, region=640x360+0+0, window=TITLE", optional: true },
  },
  {
    kind: "file",
    label: "Video file",
    help: "A file on the server's machine, played in a loop.",
    field: { label: "Path", placeholder: "/videos/clip.mp4" },
  },
  {
    kind: "url",
    label: "Network stream",
    help: "RTSP, RTMP, HTTP or SRT; reconnects by itself.",
    field: { label: "Address", placeholder: "rtsp://camera.example/stream" },
  },
  { kind: "whip", label: "Browser or OBS", help: "Waits for a publisher (WHIP)." },
];

const SIZES = ["", "320x180", "480x272", "640x360", "854x480", "1280x720", "1920x1080"];

export class StartDialog {
  /** onStarted(name) after the server has taken it; onRefused() when it wants another token. */
  constructor({ onStarted, onRefused, names }) {
    this.dialog = $("start");
    this.names = names;
    this.onStarted = onStarted;
    this.onRefused = onRefused;
    this.offers = {};
    this.notes = {};
    this.build();
    this.dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
  }

  open() {
    showError(this.dialog, null);
    this.dialog.querySelector("form").reset();
    this.showKind();
    this.name.value = freeName(this.names());
    this.dialog.showModal();
    this.kind.focus();
    this.ask();
  }

  build() {
    this.kind = el(
      "select",
      { id: "start-kind", onchange: () => this.showKind() },
      ...KINDS.map(({ kind, label }) => el("option", { value: kind }, label)),
    );
    this.help = el("p", { class: "muted help", id: "start-help" });
    this.kind.setAttribute("aria-describedby", "start-help");
    this.detailLabel = el("label", { for: "start-detail" });
    this.detail = el("input", { id: "start-detail", autocomplete: "off", list: "start-offers", spellcheck: "false" });
    this.list = el("datalist", { id: "start-offers" });
    this.name = el("input", { id: "start-name", autocomplete: "off", spellcheck: "false", maxlength: 64 });
    this.size = el(
      "select",
      { id: "start-size" },
      ...SIZES.map((size) => el("option", { value: size }, size.replace("x", "×") || "the source's own")),
    );
    this.fps = el("input", {
      id: "start-fps",
      type: "number",
      min: 1,
      max: 240,
      step: "any",
      placeholder: "the source's own",
    });
    this.limit = el("input", {
      id: "start-limit",
      type: "number",
      min: 20,
      max: 100000,
      step: 1,
      placeholder: "the server's setting",
    });
    const field = (id, label, input) => [el("label", { for: id }, label), input];
    $("start-fields").append(
      ...field("start-kind", "Source", this.kind),
      this.help,
      this.detailLabel,
      this.detail,
      this.list,
      ...field("start-name", "Name", this.name),
      ...field("start-size", "Size", this.size),
      ...field("start-fps", "Frames a second", this.fps),
      ...field("start-limit", "Rate limit, kbit/s", this.limit),
    );
    this.showKind();
  }

  showKind() {
    const kind = KINDS.find((candidate) => candidate.kind === this.kind.value);
    const note = this.notes[kind.notes];
    this.help.textContent = note ? `${kind.help} ${sentence(note)}` : kind.help;
    this.detail.hidden = this.detailLabel.hidden = !kind.field;
    this.detail.value = "";
    if (!kind.field) return;
    this.detailLabel.textContent = kind.field.label;
    this.detail.placeholder = kind.field.placeholder;
    const offers = this.offers[kind.kind] ?? [];
    this.list.replaceChildren(...offers.map(({ value, label }) => el("option", { value }, label)));
  }

  /** What this machine offers, where the server can tell. */
  async ask() {
    try {
      const found = await (await open("/v1/sources")).json();
      this.offers = offersOf(found);
      this.notes = found.notes ?? {};
      const { value } = this.detail;
      this.showKind();
      this.detail.value = value;
    } catch {
      // without a list everything can still be typed
    }
  }

  /** The specification of the source, as `--source` takes it. */
  spec() {
    const kind = this.kind.value;
    const detail = this.detail.value.trim();
    if (kind === "file" || kind === "url") return detail;
    return detail && !this.detail.hidden ? `${kind}:${detail.replace(new RegExp(`^${kind}:`), "")}` : kind;
  }

  async submit() {
    showError(this.dialog, null);
    const source = this.spec();
    const kind = KINDS.find((candidate) => candidate.kind === this.kind.value);
    if (!source) {
      showError(this.dialog, `${kind.field.label} is empty; type one such as ${kind.field.placeholder}.`);
      this.detail.focus();
      return;
    }
    for (const [input, words] of [
      [this.fps, "Frames a second: a number from 1 to 240."],
      [this.limit, "Rate limit: whole kbit/s from 20 to 100,000."],
    ]) {
      if (!input.validity.valid) {
        showError(this.dialog, words);
        input.focus();
        return;
      }
    }
    const body = { name: this.name.value.trim(), source };
    if (this.size.value) body.size = this.size.value.split("x").map(Number);
    if (this.fps.value) body.fps = Number(this.fps.value);
    if (this.limit.value) body.max_bitrate = Number(this.limit.value) * 1000;
    const button = this.dialog.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await change("POST", "/v1/streams", body);
      this.dialog.close();
      this.onStarted(body.name);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401) {
        this.dialog.close();
        this.onRefused(error.message);
      } else {
        showError(this.dialog, error.message);
      }
    } finally {
      button.disabled = false;
    }
  }
}

/** live, live-2, live-3 ... whatever is not taken. */
function freeName(taken) {
  for (let i = 1; ; i += 1) {
    const name = i === 1 ? "live" : `live-${i}`;
    if (!taken.includes(name)) return name;
  }
}

/** From the server's list of sources to suggestions by kind: what follows the kind in the specification. */
function offersOf(found) {
  const offers = {};
  for (const { spec, name, problem } of [...(found.cameras ?? []), ...(found.screens ?? [])]) {
    const [, kind, value] = /^(\w+):(.+)$/.exec(spec) ?? [];
    if (kind) (offers[kind] ??= []).push({ value, label: problem ? `${name} (${problem})` : name });
  }
  return offers;
}
