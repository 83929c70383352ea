// The files of a run's charts: fetched once, put together again from how charts_data.py keeps them.
// @ts-check

/** @typedef {(number|null)[]} Column */
/** @typedef {{key: string, mode: string, meta: string, name: string, fill?: string, yaxis?: string,
 *   text?: string[], x: number[], y: Column, lo?: Column, hi?: Column, t?: number[]}} Trace */

export const CHARTS = "runpages.charts/2";
export const DETAIL = "runpages.detail/1";

/** Promises by URL, dropped on failure so that the next touch tries again. @type {Map<string, Promise<any>>} */
const loaded = new Map();

/** @param {string} url @param {() => Promise<any>} load */
export function once(url, load) {
  const known = loaded.get(url);
  if (known) return known;
  const promise = load();
  promise.catch(() => loaded.delete(url));
  loaded.set(url, promise);
  return promise;
}

/** @param {string} url @param {string} schema */
export function stored(url, schema) {
  return once(url, async () => {
    const answer = await fetch(url);
    const data = answer.ok ? await answer.json() : {};
    if (data.schema !== schema) throw new Error(`no ${schema} in ${url}`);
    return data;
  });
}

/** x is stored as its start and runs of equal differences. @param {any} entry @returns {Trace} */
export function decoded(entry) {
  let at = entry.x0;
  const x = [at];
  for (let run = 0; run < entry.dx.length; run += 2) {
    for (let count = entry.dx[run]; count; count--) x.push((at += entry.dx[run + 1]));
  }
  return { key: "", name: "", ...entry, x };
}

/** The trace with its rows from..to exchanged for finer ones. @param {Trace} trace @param {Trace} finer
 * @param {number} from @param {number} to @returns {Trace} */
export function refined(trace, finer, from, to) {
  const before = trace.x.map((v, i) => (v < from ? i : -1)).filter((i) => i >= 0);
  const after = trace.x.map((v, i) => (v > to ? i : -1)).filter((i) => i >= 0);
  const apart = trace.meta === "old"; // of several attempts: never one line
  /** @param {Column} coarse @param {Column} fine @returns {Column} */
  const joined = (coarse, fine, gap = /** @type {number|null} */ (null)) =>
    [...before.map((i) => coarse[i]), ...(apart ? [gap] : []), ...fine, ...(apart ? [gap] : []), ...after.map((i) => coarse[i])];
  const out = { ...trace, x: /** @type {number[]} */ (joined(trace.x, finer.x, from)), y: joined(trace.y, finer.y) };
  if (trace.lo && trace.hi) {
    out.lo = joined(trace.lo, finer.lo ?? finer.y);
    out.hi = joined(trace.hi, finer.hi ?? finer.y);
  }
  if (trace.t) out.t = finer.t ? /** @type {number[]} */ (joined(trace.t, finer.t, finer.t[0])) : undefined;
  return out;
}

/** The files of finer levels for a window of steps: one that holds all its rows, else the tiles under it.
 * @param {any} detail @param {number} a @param {number} b @returns {[string, number, number][]} */
export function finer(detail, a, b) {
  const whole = detail.windows.find((/** @type {any} */ w) => w[1] <= a && b <= w[2]);
  if (whole) return [whole];
  const tiles = detail.tiles;
  if (!tiles.length || b - a > 0.5 * (tiles[tiles.length - 1][2] - tiles[0][1])) return [];
  return tiles.filter((/** @type {any} */ t) => t[1] <= b && a < t[2]);
}
