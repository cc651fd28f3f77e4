// Camera, screen and microphone, and why one cannot be had.

/** Bit/s that a picture of so many pixels is sent at, at most: what is lost here, the server cannot code any more. */
export function bitrateFor(width, height, fps) {
  return Math.round(Math.min(12e6, Math.max(1.5e6, width * height * fps * 0.15)));
}

/** Why camera and screen are out of reach on this page, or "" if they are not. */
export function insecure() {
  if (window.isSecureContext && navigator.mediaDevices) return "";
  const port = location.port || "80";
  return (
    "Browsers give camera and screen to pages from https or localhost only, and this one came over plain http from " +
    `${location.hostname}. Open it as http://localhost:${port}/publish on the server itself, or through a tunnel ` +
    `(ssh -L ${port}:localhost:${port} ${location.hostname}), or put a proxy with TLS before the server.`
  );
}

/** A MediaStream. microphone: a device id, "" for the first, "none". Throws Error with a sentence for the user. */
export async function capture({ source, camera, microphone, width, height, fps }) {
  const reason = insecure();
  if (reason) throw new Error(reason);
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: fps, max: fps } };
  const audio = microphone === "none" ? false : microphone ? { deviceId: { exact: microphone } } : await anyMicrophone();
  if (source === "camera") {
    if (camera) video.deviceId = { exact: camera };
    const stream = await ask("camera", () => navigator.mediaDevices.getUserMedia({ video, audio }));
    stream.getVideoTracks()[0].contentHint = "motion";
    return stream;
  }
  if (!navigator.mediaDevices.getDisplayMedia) throw new Error("This browser cannot share its screen; use one on a computer.");
  const stream = await ask("screen", () => navigator.mediaDevices.getDisplayMedia({ video, audio: false }));
  stream.getVideoTracks()[0].contentHint = "detail";
  if (audio) {
    try {
      const sound = await ask("microphone", () => navigator.mediaDevices.getUserMedia({ audio }));
      sound.getAudioTracks().forEach((track) => stream.addTrack(track));
    } catch (error) {
      stopTracks(stream);
      throw error;
    }
  }
  return stream;
}

export function stopTracks(stream) {
  stream?.getTracks().forEach((track) => track.stop());
}

/** Cameras and microphones; names are known once the browser was allowed to use one. */
export async function devices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const named = (kind) => all.filter((device) => device.kind === kind && device.deviceId && device.label);
  return { cameras: named("videoinput"), microphones: named("audioinput") };
}

/** A machine without a microphone still has a camera; which devices there are is known without permission. */
async function anyMicrophone() {
  return (await navigator.mediaDevices.enumerateDevices()).some(({ kind }) => kind === "audioinput");
}

async function ask(what, get) {
  try {
    return await get();
  } catch (error) {
    throw new Error(explained(error, what));
  }
}

function explained(error, what) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return what === "screen"
        ? "The screen was not shared: choose a screen or window when the browser asks, and allow screen recording in the system's settings."
        : `The browser was not allowed to use the ${what}: allow it beside the address, and in the system's settings, then start again.`;
    case "NotFoundError":
      return what === "camera" ? "No camera or no microphone was found: plug one in, or choose no sound." : `No ${what} was found: plug one in.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${what} cannot be opened; most likely another program uses it: close that one, then start again.`;
    case "OverconstrainedError":
      return `The ${what} chosen is not there any more, or cannot do this: choose another one, or another resolution.`;
    default:
      return `The ${what} cannot be had: ${error.message || error.name}.`;
  }
}
