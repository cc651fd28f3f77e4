// A WHIP client (RFC 9725): publishes a MediaStream to one URL and keeps at it until stopped.

const RETRY_MS = [500, 1000, 2000, 4000];
const GIVE_UP_CONNECTING_MS = 10000;
// Browsers say `disconnected` after five seconds of silence, when the server has given up too.
const DISCONNECTED_MS = 1500;
const TRICKLE_MS = 50;

export class WhipError extends Error {
  /** status: of the HTTP answer, 0 when there was none. */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export class WhipClient {
  /**
   * onState(state, why): "connecting", "live" (connected), "stopped", "failed"; why is a sentence or "".
   * codec: "VP8", "H264" or "" for the browser's best. maxBitrate: bit/s.
   */
  constructor({ url, token, codec = "", maxBitrate, onState }) {
    Object.assign(this, { url, token, codec, maxBitrate, onState });
    this.pc = null;
    this.session = null;
    this.stopped = false;
    this.attempt = 0;
  }

  async start(stream) {
    this.stream = stream;
    this.onState("connecting", "");
    try {
      await this.#connect();
    } catch (error) {
      this.#fail(error.message);
    }
  }

  /** End the session at the server too. keepalive: the page is going away. */
  async stop({ keepalive = false } = {}) {
    if (this.stopped) return;
    this.stopped = true;
    clearTimeout(this.retry);
    await this.#end(keepalive);
    this.onState("stopped", "");
  }

  /** getStats of the connection, null while there is none. */
  stats() {
    return this.pc?.connectionState === "connected" ? this.pc.getStats() : null;
  }

  /** What the server gets of it; null when it does not say. A session that it has lost is begun anew, one that somebody ended is not. */
  async serverStatus() {
    const session = this.session;
    if (session === null) return null;
    const response = await fetch(`${session}/status`, { headers: this.#headers(), cache: "no-store" });
    if (response.status === 404 && session === this.session) {
      this.session = null;
      this.#lost("The server has lost the session.");
    } else if (response.status === 410 && session === this.session) {
      this.session = null;
      this.#fail(await response.text());
    }
    return response.ok ? response.json() : null;
  }

  async #connect() {
    const pc = new RTCPeerConnection({ iceServers: await this.#iceServers(), bundlePolicy: "max-bundle" });
    this.pc = pc;
    this.#add(pc);
    const candidates = [];
    pc.onicecandidate = ({ candidate }) => {
      candidates.push(candidate);
      clearTimeout(this.trickling);
      this.trickling = setTimeout(() => this.#trickle(pc, candidates), TRICKLE_MS);
    };
    pc.onconnectionstatechange = () => this.#onConnection(pc);
    // The server answers with all its candidates, so ours need not be waited for.
    await pc.setLocalDescription();
    const response = await this.#request("POST", this.url, { type: "application/sdp", body: pc.localDescription.sdp });
    const location = response.headers.get("Location");
    if (location === null) throw new WhipError("The server's answer names no session (Location).", response.status);
    const session = new URL(location, response.url).href;
    if (this.stopped) {
      await this.#request("DELETE", session, {}).catch(() => {});
      return;
    }
    this.session = session;
    this.etag = response.headers.get("ETag");
    await pc.setRemoteDescription({ type: "answer", sdp: await response.text() });
    this.watchdog = setTimeout(() => {
      if (pc === this.pc && pc.connectionState !== "connected") this.#lost("No network path to the server was found.");
    }, GIVE_UP_CONNECTING_MS);
    await this.#trickle(pc, candidates);
  }

  #add(pc) {
    for (const track of this.stream.getTracks()) {
      const video = track.kind === "video";
      const transceiver = pc.addTransceiver(track, {
        direction: "sendonly",
        streams: [this.stream],
        sendEncodings: video ? [{ maxBitrate: this.maxBitrate }] : [{}],
      });
      if (!video) continue;
      transceiver.setCodecPreferences?.(orderedCodecs(this.codec));
      const parameters = transceiver.sender.getParameters();
      // What is dropped when the encoder or the path falls behind: sharpness of a camera, frames of a text.
      const text = track.contentHint === "detail" || track.contentHint === "text";
      parameters.degradationPreference = text ? "maintain-resolution" : "maintain-framerate";
      transceiver.sender.setParameters(parameters).catch(() => {});
    }
  }

  #onConnection(pc) {
    if (pc !== this.pc || this.stopped) return;
    clearTimeout(this.disconnected);
    if (pc.connectionState === "connected") {
      clearTimeout(this.watchdog);
      this.attempt = 0;
      this.onState("live", "");
    } else if (pc.connectionState === "failed") {
      this.#lost("The connection to the server was lost.");
    } else if (pc.connectionState === "disconnected") {
      this.disconnected = setTimeout(() => this.#lost("The connection to the server was lost."), DISCONNECTED_MS);
    }
  }

  /** The session is over, and not because anybody wanted it: try again until stopped. */
  async #lost(why) {
    await this.#end(false);
    if (this.stopped) return;
    const wait = RETRY_MS[Math.min(this.attempt++, RETRY_MS.length - 1)];
    this.onState("connecting", `${why} Trying again.`);
    this.retry = setTimeout(() => this.#connect().catch((error) => this.#refused(error)), wait);
  }

  #refused(error) {
    // Answers that another try does not change; 409 may be our own session, which the server has not given up yet.
    if (error instanceof WhipError && [400, 401, 403, 406, 415].includes(error.status)) {
      this.#fail(error.message);
    } else {
      this.#lost(error.message);
    }
  }

  #fail(why) {
    this.#close();
    this.stopped = true;
    this.onState("failed", capitalised(why));
  }

  async #end(keepalive) {
    const session = this.session;
    this.session = null;
    this.#close();
    if (session !== null) await this.#request("DELETE", session, { keepalive }).catch(() => {});
  }

  #close() {
    clearTimeout(this.watchdog);
    clearTimeout(this.disconnected);
    clearTimeout(this.trickling);
    this.pc?.close();
    this.pc = null;
  }

  /** Send the candidates that came since the offer (RFC 8840); they help where the server cannot learn them itself. */
  async #trickle(pc, candidates) {
    if (pc !== this.pc || this.session === null || this.etag === null || candidates.length === 0) return;
    const lines = pc.localDescription.sdp.split("\r\n");
    const find = (prefix) => lines.find((line) => line.startsWith(prefix));
    const body = [find("a=ice-ufrag:"), find("a=ice-pwd:"), "m=audio 9 UDP/TLS/RTP/SAVPF 0", find("a=mid:")];
    for (const candidate of candidates.splice(0)) {
      body.push(candidate === null || candidate.candidate === "" ? "a=end-of-candidates" : `a=${candidate.candidate}`);
    }
    await this.#request("PATCH", this.session, {
      type: "application/trickle-ice-sdpfrag",
      body: `${body.join("\r\n")}\r\n`,
      headers: { "If-Match": this.etag },
    }).catch(() => {}); // without them the connection most often comes about all the same
  }

  async #iceServers() {
    const response = await fetch(this.url, { method: "OPTIONS", headers: this.#headers() }).catch(() => null);
    return parseLinks(response?.headers.get("Link") ?? "");
  }

  #headers() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  async #request(method, url, { type, body, headers = {}, keepalive = false }) {
    const all = { ...this.#headers(), ...headers, ...(type ? { "Content-Type": type } : {}) };
    let response;
    try {
      response = await fetch(url, { method, body, headers: all, keepalive });
    } catch (error) {
      const odd = error instanceof TypeError && this.token && !/^[\x20-\x7e]*$/.test(this.token);
      throw new WhipError(odd ? "The token has characters that cannot be sent." : "The server does not answer.", odd ? 401 : 0);
    }
    if (!response.ok) {
      const text = (await response.text()).trim() || `The server answers ${response.status} ${response.statusText}.`;
      throw new WhipError(capitalised(text), response.status);
    }
    return response;
  }
}

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * The browser's video codecs, those that the server takes and the wanted one first. By itself: H.264 where encoders are in
 * hardware (Apple, phones), else VP8, which every browser encodes fast enough and mends faster after a loss.
 */
function orderedCodecs(wanted) {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const hardware = /iPhone|iPad|Android|Macintosh/.test(navigator.userAgent);
  const first = wanted || (hardware ? "H264" : "VP8");
  const taken = (codec) => {
    const name = codec.mimeType.slice("video/".length).toUpperCase();
    if (name === "H264") return /packetization-mode=1/.test(codec.sdpFmtpLine) && /profile-level-id=42/i.test(codec.sdpFmtpLine) ? name : "";
    return name === "VP8" ? name : "";
  };
  const rank = (codec) => (taken(codec) === first ? 0 : taken(codec) ? 1 : 2);
  return codecs.map((codec, place) => [rank(codec), place, codec]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , codec]) => codec);
}

/** ICE servers of Link headers: <turn:host>; rel="ice-server"; username="u"; credential="c" (RFC 9725, section 4.6). */
function parseLinks(header) {
  const servers = [];
  for (const part of header.split(/,(?=\s*<)/)) {
    const url = /<([^>]+)>/.exec(part)?.[1];
    if (!url || !/rel="?ice-server"?/.test(part)) continue;
    const value = (name) => new RegExp(`${name}="([^"]*)"`).exec(part)?.[1];
    servers.push({ urls: url, username: value("username"), credential: value("credential") });
  }
  return servers.map((server) => Object.fromEntries(Object.entries(server).filter(([, value]) => value !== undefined)));
}
