// The page: form, preview, state. Media comes from media.js, the connection is whip.js.

import { bitrateFor, capture, devices, insecure, stopTracks } from "./media.js";
import { WhipClient } from "./whip.js";

const $ = (id) => document.getElementById(id);
const STATES = { idle: "Not publishing", connecting: "Connecting", live: "Publishing", failed: "Not publishing" };
const TOKEN_KEY = "latentcast-token"; // as on the dashboard: this tab's
const STATS_MS = 1000;

let stream = null;
let client = null;
let timer = null;
let before = null;

function showState(state, detail = "") {
  $("state").dataset.state = state;
  $("state").textContent = STATES[state];
  $("detail").textContent = detail;
  const busy = state === "connecting" || state === "live";
  $("fields").disabled = busy;
  $("start").hidden = $("show").hidden = busy;
  $("stop").hidden = !busy;
  $("facts").hidden = $("watch").hidden = state !== "live";
}

function showError(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
}

function showPreview() {
  $("preview").srcObject = stream;
  $("no-picture").hidden = stream !== null;
}

function wanted() {
  const [width, height] = $("size").value.split("x").map(Number);
  return {
    source: document.querySelector("input[name=source]:checked").value,
    camera: $("camera").value,
    microphone: $("microphone").value,
    width,
    height,
    fps: Number($("fps").value),
  };
}

function release() {
  stopTracks(stream);
  stream = null;
  showPreview();
}

async function open() {
  release();
  stream = await capture(wanted());
  showPreview();
  listDevices();
  const mine = stream;
  stream.getVideoTracks()[0].onended = () => {
    if (stream === mine) stop("The browser ended the sharing, or the camera was unplugged.");
  };
}

async function start() {
  const name = $("stream").value.trim();
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name)) {
    showError("The stream's name: 1 to 64 letters, digits, dots, dashes and underscores.");
    $("stream").focus();
    return;
  }
  showError("");
  showState("connecting", "Waiting for the browser's permission.");
  const { width, height, fps } = wanted();
  try {
    if (stream === null) await open();
  } catch (error) {
    showState("failed");
    showError(error.message);
    return;
  }
  const token = $("token").value.trim();
  remember(token);
  $("command").textContent = `latentcast view ${location.origin} --stream ${name}${token ? " --token TOKEN" : ""}`;
  before = null;
  client = new WhipClient({
    url: `/v1/streams/${encodeURIComponent(name)}/whip?size=${width}x${height}&fps=${fps}`,
    token,
    codec: $("codec").value,
    maxBitrate: bitrateFor(width, height, fps),
    onState: onState(),
  });
  await client.start(stream);
}

function onState() {
  let published = false;
  return (state, why) => {
    if (state === "stopped") return;
    showState(state, why);
    clearInterval(timer);
    if (state === "live") timer = setInterval(() => showFacts().catch(() => {}), STATS_MS);
    published ||= state === "live";
    if (state === "failed") {
      showError(why);
      $("detail").textContent = "";
      if (published) release(); // nobody watches: the camera's light goes out
    }
  };
}

async function stop(why = "") {
  clearInterval(timer);
  const ending = client;
  client = null;
  release();
  showState("idle");
  showError(why);
  await ending?.stop();
}

async function showFacts() {
  const report = await client?.stats();
  if (!report) return;
  let video = null;
  let codec = "";
  let rtt = null;
  report.forEach((entry) => {
    if (entry.type === "outbound-rtp" && entry.kind === "video") video = entry;
    if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) rtt = entry.currentRoundTripTime;
  });
  if (video === null) return;
  report.forEach((entry) => {
    if (entry.id === video.codecId) codec = entry.mimeType.replace("video/", "");
  });
  const server = await client?.serverStatus().catch(() => null);
  const now = { at: video.timestamp, bytes: video.bytesSent, decoded: server?.decoded ?? null };
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  $("fact-fps").textContent = `${Math.round(video.framesPerSecond ?? 0)} fps`;
  $("fact-size").textContent = `${video.frameWidth ?? 0} × ${video.frameHeight ?? 0} ${codec}${limited(video.qualityLimitationReason)}`;
  if (seconds > 0) $("fact-rate").textContent = `${Math.round(((now.bytes - before.bytes) * 8) / seconds / 1000)} kbit/s`;
  $("fact-rtt").textContent = rtt === null ? "–" : `${Math.max(1, Math.round(rtt * 1000))} ms`;
  if (seconds > 0 && now.decoded !== null && before.decoded !== null) {
    $("fact-server").textContent = `${Math.round((now.decoded - before.decoded) / seconds)} fps`;
  }
  before = now;
}

function limited(reason) {
  return reason === "cpu" ? ", limited by this machine" : reason === "bandwidth" ? ", limited by the network" : "";
}

async function listDevices() {
  const { cameras, microphones } = await devices();
  fill($("camera"), [["", "the first one"], ...cameras.map(({ deviceId, label }) => [deviceId, label])]);
  fill($("microphone"), [["none", "none"], ["", "the first microphone"], ...microphones.map(({ deviceId, label }) => [deviceId, label])]);
}

function fill(select, choices) {
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, label]) => new Option(label, value)));
  select.value = choices.some(([value]) => value === chosen) ? chosen : "";
}

function remember(token) {
  try {
    if (token) sessionStorage.setItem(TOKEN_KEY, token);
  } catch {
    // storage may be forbidden
  }
}

function onSource() {
  const camera = wanted().source === "camera";
  document.querySelectorAll("[data-for=camera]").forEach((element) => (element.hidden = !camera));
  // A preview of the other one would be published otherwise.
  if (stream !== null) release();
}

function begin() {
  const query = new URLSearchParams(location.search);
  if (query.get("stream")) $("stream").value = query.get("stream");
  for (const name of ["size", "fps"]) {
    if ([...$(name).options].some((option) => option.value === query.get(name))) $(name).value = query.get(name);
  }
  try {
    $("token").value = sessionStorage.getItem(TOKEN_KEY) ?? "";
  } catch {
    // as above
  }
  const why = insecure();
  $("insecure").textContent = why;
  $("insecure").hidden = !why;
  $("start").disabled = $("show").disabled = Boolean(why);

  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  $("show").addEventListener("click", async () => {
    showError("");
    await open().catch((error) => showError(error.message));
  });
  $("stop").addEventListener("click", () => stop());
  for (const id of ["camera", "microphone", "size", "fps"]) $(id).addEventListener("change", onSource);
  document.querySelectorAll("input[name=source]").forEach((input) => input.addEventListener("change", onSource));
  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText($("command").textContent);
    $("copy").textContent = "Copied";
    setTimeout(() => ($("copy").textContent = "Copy"), 1500);
  });
  const theme = () => {
    const dark = document.documentElement.dataset.theme === "dark";
    $("theme").textContent = dark ? "Light" : "Dark";
    $("theme").setAttribute("aria-pressed", String(dark));
  };
  $("theme").addEventListener("click", () => {
    window.toggleTheme();
    theme();
  });
  theme();
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
  listDevices().catch(() => {});
  // A reload leaves the name free at once.
  addEventListener("pagehide", () => client?.stop({ keepalive: true }));
  showState("idle");
}

begin();
