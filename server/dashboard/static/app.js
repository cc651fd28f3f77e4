// The page: one feed, one stream shown, everything else follows from the newest snapshot.

import { ApiError, change, hasToken, setToken, streamPath } from "./api.js";
import { Charts, VIEWER_COLOURS } from "./charts.js";
import { $, copy, note, setText, showError } from "./dom.js";
import { Feed } from "./feed.js";
import * as format from "./format.js";
import { History } from "./history.js";
import { StartDialog } from "./start.js";
import { Tabs, showHead } from "./streams.js";
import { ViewerTable } from "./viewers.js";

const history = new History();
const charts = new Charts($("charts"));
const colours = new Map(); // viewer id -> colour slot
let welcome = { manage: false, token_wanted: false };
let newest = null;
let shown = null; // stream's name
let wanted = decodeURIComponent(location.hash.slice(1)) || null;
let only = null; // viewer's id

// -- what is shown

function streamShown() {
  return newest?.streams.find((stream) => stream.name === shown) ?? null;
}

function selectStream(name) {
  wanted = shown = name;
  only = null;
  colours.clear();
  window.history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  delete $("limit-value").dataset.edited;
  render();
}

function selectViewer(id) {
  only = only === id ? null : id;
  render();
}

/** Each viewer keeps its colour as long as it stays. */
function assignColours(stream) {
  const present = new Set(stream.viewers.map((viewer) => viewer.id));
  for (const id of colours.keys()) if (!present.has(id)) colours.delete(id);
  const free = [...Array(VIEWER_COLOURS).keys()].filter((slot) => ![...colours.values()].includes(slot));
  for (const id of present) if (!colours.has(id) && free.length) colours.set(id, free.shift());
}

function render() {
  if (!newest) return;
  const { streams, server } = newest;
  const cpu = server.cpu === null ? "" : `${format.percent(server.cpu)} of a core, `;
  setText(
    $("server"),
    `Version ${welcome.version}, up ${format.duration(server.uptime_s)}, ${cpu}${Math.round(server.memory_mb)} MB`,
  );
  if (!streams.some((stream) => stream.name === shown)) {
    shown = streams.some((stream) => stream.name === wanted) ? wanted : (streams[0]?.name ?? null);
    only = null;
  }
  tabs.update(streams, shown);
  $("empty").hidden = streams.length > 0;
  $("stream").hidden = streams.length === 0;
  const stream = streamShown();
  document.title = stream ? `${stream.name}, ${stream.state} · Latentcast` : "Latentcast";
  if (!stream) return;
  assignColours(stream);
  if (only !== null && !stream.viewers.some((viewer) => viewer.id === only)) only = null;
  showHead(stream, { tokenWanted: welcome.token_wanted });
  const limit = $("limit-value");
  if (document.activeElement !== limit && limit.dataset.edited === undefined)
    limit.value = Math.round(stream.max_bitrate / 1000);
  showScope(stream);
  charts.update(history, stream, only, colours);
  viewers.update(stream, only, colours);
}

function showScope(stream) {
  const count = stream.viewers.length;
  const drawn = Math.min(count, VIEWER_COLOURS);
  const all =
    count === 0
      ? "up to two minutes back"
      : drawn < count
        ? `${drawn} of ${count} viewers; choose one below to see it alone`
        : count === 1
          ? "one viewer"
          : `all ${count} viewers; choose one below to see it alone`;
  setText($("scope"), only === null ? all : `viewer ${only} alone`);
  $("scope-all").hidden = only === null;
}

function showRights() {
  $("start-button").hidden = $("empty-start").hidden = $("controls").hidden = !welcome.manage;
  $("look-only").hidden = welcome.manage;
  setText($("look-only"), hasToken() ? "This token may look, but not change anything." : "To change anything, give a token.");
  $("token-button").hidden = !hasToken() && welcome.manage;
}

function banner(text) {
  $("banner").hidden = !text;
  setText($("banner"), text ?? "");
  document.body.classList.toggle("stale", Boolean(text));
}

// -- the feed

const feed = new Feed({
  welcome(line) {
    welcome = line;
    history.spanMs = line.history_ms;
    banner(null);
    showRights();
  },
  snapshot(line) {
    history.add(line);
    newest = line;
    scheduleRender();
  },
  lost(message) {
    banner(`${message} Trying again.`);
  },
  refused: askToken,
});

let scheduled = 0;

/** Once for all lines that came together: after a connect these are two minutes of them. */
function scheduleRender() {
  scheduled ||= setTimeout(() => {
    scheduled = 0;
    render();
  });
}

// -- what can be done

const tabs = new Tabs(selectStream);
const viewers = new ViewerTable(selectViewer);
const starter = new StartDialog({
  names: () => newest?.streams.map((stream) => stream.name) ?? [],
  onStarted: (name) => {
    wanted = name;
    shown = null;
    note(`${name} is starting.`);
  },
  onRefused: askToken,
});

/** Do something; say what was done, or why it was not. */
async function act(button, done, action) {
  button.disabled = true;
  try {
    await action();
    note(done);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) askToken(error.message);
    else note(error.message, { wrong: true });
    return false;
  } finally {
    button.disabled = false;
  }
}

$("theme").addEventListener("click", () => window.toggleTheme());
const showTheme = () =>
  $("theme").setAttribute("aria-pressed", String(document.documentElement.dataset.theme === "dark"));
document.addEventListener("themechange", showTheme);
showTheme();

$("start-button").addEventListener("click", () => starter.open());
$("empty-start").addEventListener("click", () => starter.open());
$("scope-all").addEventListener("click", () => selectViewer(only));
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

$("intra").addEventListener("click", () =>
  act($("intra"), "The next frame is an intra frame.", () => change("POST", streamPath(shown, "/intra"))),
);

$("limit-value").addEventListener("input", () => ($("limit-value").dataset.edited = ""));
$("limit").addEventListener("submit", async (event) => {
  event.preventDefault();
  const kbits = Number($("limit-value").value);
  const body = { max_bitrate: kbits * 1000 };
  const done = await act(
    event.submitter ?? $("limit").querySelector("button"),
    `At most ${format.bitrate(kbits * 1000)} from now on.`,
    () => change("PATCH", streamPath(shown), body),
  );
  if (done) delete $("limit-value").dataset.edited;
});

$("stop").addEventListener("click", () => {
  const stream = streamShown();
  const watching = stream.viewers.length;
  const ended = stream.state === "ended";
  setText($("confirm-title"), ended ? `Remove ${stream.name}?` : `Stop ${stream.name}?`);
  setText(
    $("confirm-text"),
    watching ? `${format.plural(watching, "viewer")} will be disconnected.` : "Nobody is watching.",
  );
  setText($("confirm-yes"), ended ? "Remove" : "Stop");
  $("confirm").dataset.stream = stream.name;
  showError($("confirm"), null);
  $("confirm").showModal();
});
$("confirm")
  .querySelector("form")
  .addEventListener("submit", async (event) => {
    event.preventDefault();
    const { stream } = $("confirm").dataset;
    try {
      await change("DELETE", streamPath(stream));
      $("confirm").close();
      note(`${stream} is stopped.`);
    } catch (error) {
      if (error.status === 401) {
        $("confirm").close();
        askToken(error.message);
      } else {
        showError($("confirm"), error.message);
      }
    }
  });

for (const [button, source] of [
  ["copy", "command"],
  ["copy-whip", "whip-url"],
]) {
  $(button).addEventListener("click", async () => {
    note(
      (await copy($(source).textContent))
        ? "Copied."
        : "The browser does not let the page copy; select the text instead.",
    );
  });
}

// -- the token

function askToken(message) {
  showError($("token"), hasToken() ? message : null);
  // Who closes the dialog finds the way back.
  $("token-button").hidden = false;
  if (!$("token").open) $("token").showModal();
}

$("token-button").addEventListener("click", () => askToken(null));
$("token")
  .querySelector("form")
  .addEventListener("submit", (event) => {
    event.preventDefault();
    const value = $("token-value").value.trim();
    if (!value) return;
    setToken(value);
    $("token-value").value = "";
    $("token").close();
    feed.start();
  });

feed.start();
