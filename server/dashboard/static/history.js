// The last two minutes as columns, the shape that charts want.

// A hole in time wider than this is drawn as one.
const GAP_MS = 2500;
const MAX_FRAMES = 150;

export class History {
  constructor() {
    this.spanMs = 120_000;
    this.snapshots = [];
    this.frames = new Map(); // stream -> rendition -> newest frames
  }

  clear() {
    this.snapshots = [];
    this.frames.clear();
  }

  add(snapshot) {
    const newest = this.snapshots.at(-1);
    // After a reconnect the server tells again what is known already.
    if (newest && snapshot.at_ms <= newest.at_ms) return;
    this.snapshots.push(snapshot);
    const first = this.snapshots.findIndex((old) => old.at_ms >= snapshot.at_ms - this.spanMs);
    this.snapshots.splice(0, Math.max(0, first));
    for (const stream of snapshot.streams) this.addFrames(stream);
    const names = new Set(snapshot.streams.map((stream) => stream.name));
    for (const name of this.frames.keys()) if (!names.has(name)) this.frames.delete(name);
  }

  addFrames(stream) {
    if (!this.frames.has(stream.name)) this.frames.set(stream.name, new Map());
    const byRendition = this.frames.get(stream.name);
    for (const [rendition, , size, qp, intra] of stream.frames) {
      if (!byRendition.has(rendition)) byRendition.set(rendition, []);
      const frames = byRendition.get(rendition);
      frames.push({ size, qp, intra: intra === 1 });
      if (frames.length > MAX_FRAMES) frames.shift();
    }
  }

  /** Newest frames of one encode, oldest first. */
  newestFrames(stream, rendition) {
    return this.frames.get(stream)?.get(rendition) ?? [];
  }

  /** [times in s, one column a reader]; each reads a stream's snapshot, undefined or null where there is nothing. */
  columns(name, readers) {
    const columns = [[], ...readers.map(() => [])];
    let before = null;
    for (const snapshot of this.snapshots) {
      if (before !== null && snapshot.at_ms - before > GAP_MS) {
        columns[0].push((before + 1) / 1000);
        for (const column of columns.slice(1)) column.push(null);
      }
      before = snapshot.at_ms;
      const stream = snapshot.streams.find((candidate) => candidate.name === name);
      columns[0].push(snapshot.at_ms / 1000);
      readers.forEach((read, i) => columns[i + 1].push((stream && read(stream)) ?? null));
    }
    return columns;
  }
}
