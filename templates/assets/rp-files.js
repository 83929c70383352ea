// The files of a run's charts: fetched once, put together again from how charts_data.py keeps them.
// @ts-check

/** @typedef {(number|null)[]} Column */
/** @typedef {{key: string, mode: string, meta: string, name: string, fill?: string, yaxis?: string,
 *   text?: string[], x: number[], y: Column, lo?: Column, hi?: Column, t?: number[], exact?: boolean,
 *   axes?: import("./rp-axes.js").Axes, mute?: boolean}} Trace
 * `exact`: no noise, never smoothed; `axes` of a sibling: its own; `mute`: not named under the pointer */

export const CHARTS = "runpages.charts/2";
export const DETAIL = "runpages.detail/1";
const FULL = "runpages.full/1";

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

/** Data of a page that was left; whatever is asked for again comes from the browser's own cache. */
export function forget() {
  [...loaded.keys()].filter((url) => url.endsWith(".json")).forEach((url) => loaded.delete(url));
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

/** Whether the site keeps the finer files of a run: its page is the same with and without them.
 * @param {string} source a file beside the run's charts.json @param {string} slug */
export function kept(source, slug) {
  return stored(new URL("../../index/full.json", source).href, FULL).then(({ slugs }) => slugs.includes(slug), () => false);
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

/** The trace with at most about `limit` points between a and b where they are more than twice as many: means
 * with their least and largest value, as the first level has them. Rows in `alone` stand by themselves.
 * @param {Trace} trace @param {number} a @param {number} b @param {number} limit @param {[number, number][]} alone @returns {Trace} */
export function thinned(trace, a, b, limit, alone) {
  const { x, y, lo, hi } = trace;
  const first = x.findIndex((v) => v >= a);
  const end = x.findLastIndex((v) => v <= b) + 1;
  if (first < 0 || end - first <= 2 * limit) return trace;
  const most = Math.ceil((end - first) / limit);
  const single = (/** @type {number} */ v) => alone.some(([from, to]) => v >= from && v <= to);
  /** @type {number[][]} */ const groups = [];
  let open = false; // whether the next row may join the last group
  for (let i = first; i < end; i++) {
    const joins = y[i] != null && !single(x[i]);
    if (joins && open && groups[groups.length - 1].length < most) groups[groups.length - 1].push(i);
    else groups.push([i]);
    open = joins;
  }
  /** @param {Column} column @param {(values: any[]) => number} reduce @returns {Column} */
  const column = (column, reduce) => [...column.slice(0, first),
    ...groups.map((rows) => (rows.length > 1 ? reduce(rows.map((i) => column[i])) : column[rows[0]])), ...column.slice(end)];
  const mean = (/** @type {number[]} */ values) => values.reduce((sum, v) => sum + v, 0) / values.length;
  return { ...trace, t: undefined, x: /** @type {number[]} */ (column(x, (v) => Math.round(mean(v)))), y: column(y, mean),
    lo: column(lo ?? y, (v) => Math.min(...v)), hi: column(hi ?? y, (v) => Math.max(...v)) };
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
