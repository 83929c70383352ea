// runs.json and its companions in memory: one column at a time, fetched when first used.
// @ts-check

/** A column of all runs. `number` gives NaN where there is none (or where the run logged NaN: then
 *  `text` says so), `codes` an index into `texts`, or several; `from` says which fetched keys it reads.
 * @typedef {{name: string, unit: string, kind: "number" | "text" | "choice" | "choices",
 *   number: (row: number) => number, text: (row: number) => string, missing: (row: number) => boolean,
 *   why: (row: number) => string, texts?: string[], codes?: any[], from?: string[]}} Column */
/** @typedef {{kind: string, name: string, unit: string, runs: number, file: string}} Key */
/** @typedef {{group: string, metric: string | null, mean: number | string | null, sd: number | string | null, n: number, rows: number[]}} SeedSet */

/** What the kinds of keys are called. @type {Record<string, string>} */
export const KINDS = { fact: "figure", config: "setting", role: "role", metric: "metric" };
const NAMED = new Map([["NaN", NaN], ["Infinity", Infinity], ["-Infinity", -Infinity]]);

/** @param {unknown} value */
export function numeric(value) {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.trim() === "") return NaN;
  return NAMED.get(value) ?? Number(value);
}

/** @param {string} url @param {string} schema @param {AbortSignal} signal */
async function fetched(url, schema, signal) {
  const answer = await fetch(url, { signal });
  const data = answer.ok ? await answer.json() : {};
  if (data.schema !== schema) throw new Error(`no ${schema} at ${url}`);
  return data;
}

/** @param {string} name @param {any} raw @returns {Column} */
function standing(name, raw) {
  const unit = raw.unit ?? "";
  if (raw.kind === "choice") {
    const { texts, codes } = raw;
    return { name, unit, kind: "choice", texts, codes, number: (row) => (codes[row] < 0 ? NaN : numeric(texts[codes[row]])),
      text: (row) => (codes[row] < 0 ? "" : texts[codes[row]]), missing: (row) => codes[row] < 0, why: () => "not logged" };
  }
  if (raw.kind === "choices") {
    const { texts, codes } = raw;
    return { name, unit, kind: "choices", texts, codes, number: () => NaN,
      text: (row) => codes[row].map((/** @type {number} */ c) => texts[c]).join(", "), missing: (row) => !codes[row].length,
      why: () => "not logged" };
  }
  const values = raw.values;
  if (raw.kind === "text") return plain(name, unit, values, "text", () => "not logged");
  /** Row -> reason, made when one is asked for. @type {Map<number, string> | undefined} */
  let reasons;
  return plain(name, unit, values, "number", (row) => {
    if (!reasons) {
      reasons = new Map();
      let at = 0;
      for (let i = 0; i < values.length; i++) {
        if (values[i] === null && raw.why) reasons.set(i, raw.why.texts[raw.why.codes[at++]]);
      }
    }
    return reasons.get(row) ?? "not logged";
  });
}

/** @param {string} name @param {string} unit @param {any[]} values @param {"number" | "text"} kind @param {(row: number) => string} why @returns {Column} */
function plain(name, unit, values, kind, why) {
  const gone = (/** @type {number} */ row) => values[row] === null || values[row] === undefined || values[row] === "";
  return { name, unit, kind, why, missing: gone,
    number: (row) => (gone(row) ? NaN : numeric(values[row])), text: (row) => (gone(row) ? "" : String(values[row])) };
}

export class Runs {
  /** @param {any} data @param {string} url @param {AbortSignal} signal */
  constructor(data, url, signal) {
    /** @type {number} */
    this.count = data.count;
    /** @type {SeedSet[]} */
    this.seedSets = data.seed_sets;
    this.base = new URL(".", url).href;
    this.signal = signal;
    /** @type {Map<string, Column>} */
    this.columns = new Map(Object.entries(data.columns).map(([name, raw]) => [name, standing(name, raw)]));
    /** Part of the baseline by which a run is worse to count as regressed. @type {number} */
    this.regressionLimit = data.regression_limit;
    /** @type {number} */
    this.sparkRows = data.spark_rows;
    /** @type {Map<number, string[]>} */
    this.sparks = new Map();
    /** Who waits for a file of small curves. @type {Map<number, (() => void)[]>} */
    this.waiting = new Map();
    /** @type {Promise<Key[]> | undefined} */
    this.keyList = undefined;
    /** @type {Map<string, Promise<Column>>} */
    this.loading = new Map();
    /** @type {string[] | undefined} */
    this.haystack = undefined;
  }

  /** @param {string} url @param {AbortSignal} signal */
  static async load(url, signal) {
    return new Runs(await fetched(url, "runpages.runs/1", signal), url, signal);
  }

  /** A standing or a fetched column. @param {string} name @returns {Column} */
  column(name) {
    const found = this.columns.get(name);
    if (!found) throw new Error(`no column ${name}`);
    return found;
  }

  /** What keys.json lists. @returns {Promise<Key[]>} */
  keys() {
    this.keyList ??= fetched(`${this.base}keys.json`, "runpages.keys/1", this.signal).then((data) => data.keys);
    this.keyList.catch(() => { this.keyList = undefined; });
    return this.keyList;
  }

  /** Fetches the column of a key; it is then in `columns` as `kind:name`. @param {Key} key @returns {Promise<Column>} */
  fetchKey(key) {
    const id = `${key.kind}:${key.name}`;
    let known = this.loading.get(id);
    if (!known) {
      known = fetched(`${this.base}${key.file}`, "runpages.column/1", this.signal).then((data) => {
        /** @type {any[]} */
        let values = data.values;
        if (data.rows) {
          values = new Array(this.count).fill(null);
          data.rows.forEach((/** @type {number} */ row, /** @type {number} */ i) => { values[row] = data.values[i]; });
        }
        const numbers = data.values.every((/** @type {unknown} */ v) => !Number.isNaN(numeric(v)) || v === "NaN");
        const column = { ...plain(id, key.unit, values, numbers ? "number" : "text", () => "not logged"), from: [`${KINDS[key.kind]} ${key.name}`] };
        this.columns.set(id, column);
        return column;
      });
      known.catch(() => this.loading.delete(id));
      this.loading.set(id, known);
    }
    return known;
  }

  /** The small curve of a run, a character a point; undefined until its file is there, then `ready` is called.
   * @param {number} row @param {() => void} ready @returns {string | undefined} */
  spark(row, ready) {
    const part = Math.floor(row / this.sparkRows);
    const known = this.sparks.get(part);
    if (known) return known[row - part * this.sparkRows];
    const waiting = this.waiting.get(part);
    if (waiting) waiting.push(ready);
    else {
      const all = [ready];
      this.waiting.set(part, all);
      fetched(`${this.base}sparks-${part}.json`, "runpages.sparks/1", this.signal)
        .then((data) => { this.sparks.set(part, data.sparks); all.forEach((one) => one()); })
        .catch(() => {}); // a table without small curves is a table still
    }
    return undefined;
  }

  /** Lower-case text of a run that words are looked for in. @param {number} row */
  words(row) {
    if (!this.haystack) {
      const names = ["name", "slug", "project", "group", "model", "datasets", "author", "tags", "commit", "metric", "source", "state"];
      const columns = names.map((name) => this.column(name));
      this.haystack = Array.from({ length: this.count }, (_, i) => columns.map((c) => c.text(i)).join("\n").toLowerCase());
    }
    return this.haystack[row];
  }
}
