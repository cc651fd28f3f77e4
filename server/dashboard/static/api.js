// Requests to the server, with the token of this tab. What goes wrong comes back as a sentence.

import { sentence } from "./dom.js";

const KEY = "latentcast-token";
let token = null;
try {
  token = sessionStorage.getItem(KEY);
} catch {
  // storage may be forbidden: the token then lives as long as the page
}

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export function hasToken() {
  return token !== null;
}

export function setToken(value) {
  token = value;
  try {
    if (value === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  } catch {
    // as above
  }
}

/** Fetch with the token; throws ApiError with the server's own words when it says no. */
export async function open(path, options = {}) {
  const headers = { ...options.headers };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (error.name === "TypeError" && token !== null && !/^[\x20-\x7e]*$/.test(token)) {
      throw new ApiError("The token has characters that cannot be sent; use plain letters, digits and signs.", 401);
    }
    throw new ApiError("The server does not answer.", 0);
  }
  if (!response.ok) {
    const text = (await response.text()).trim();
    throw new ApiError(
      sentence(text || `The server answers ${response.status} ${response.statusText}.`),
      response.status,
    );
  }
  return response;
}

/** Send a change; the body goes as JSON. */
export function change(method, path, body) {
  const json = body === undefined ? {} : { body: JSON.stringify(body) };
  return open(path, { method, headers: { "Content-Type": "application/json" }, ...json });
}

export function streamPath(name, rest = "") {
  return `/v1/streams/${encodeURIComponent(name)}${rest}`;
}
