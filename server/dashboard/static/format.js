// Numbers as people read them. What is not known is a dash.

const NONE = "–";
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

export function bitrate(bps) {
  if (!known(bps)) return NONE;
  if (bps < 1e6) return `${Math.round(bps / 1e3)} kbit/s`;
  return `${(bps / 1e6).toFixed(bps < 1e7 ? 2 : 1)} Mbit/s`;
}

/** For an axis: as short as it can be. */
export function shortBitrate(bps) {
  return bps < 1e6 ? `${Math.round(bps / 1e3)} k` : `${Number((bps / 1e6).toFixed(2))} M`;
}

export function shortMilliseconds(value) {
  return `${Number(value.toFixed(1))} ms`;
}

export function milliseconds(value) {
  if (!known(value)) return NONE;
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ms`;
}

export function percent(share) {
  if (!known(share)) return NONE;
  const value = share * 100;
  return `${value === 0 ? 0 : value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

export function bytes(value) {
  if (!known(value)) return NONE;
  return value < 1000 ? `${Math.round(value)} B` : `${(value / 1000).toFixed(value < 9950 ? 1 : 0)} kB`;
}

export function rate(value) {
  if (!known(value)) return NONE;
  return Math.abs(value - Math.round(value)) < 0.05 ? String(Math.round(value)) : value.toFixed(1);
}

export function whole(value) {
  return known(value) ? String(Math.round(value)) : NONE;
}

export function duration(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
