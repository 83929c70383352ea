// Which runs are shown, in which order: filters, facets with counts, sorting, seed sets.
// @ts-check

import { day } from "./rp-units.js";

/** @typedef {import("./rp-browse-data.js").Runs} Runs */
/** @typedef {import("./rp-browse-data.js").Column} Column */
/** @typedef {import("./rp-browse-data.js").SeedSet} SeedSet */
/** @typedef {import("./rp-browse-query.js").Condition} Condition */
/** A list of values to tick; `of` gives the indices of a run's values.
 * @typedef {{id: string, label: string, texts: string[], of: (row: number) => readonly number[]}} Facet */
/** @typedef {{row: number, set?: SeedSet, rows?: number[], member?: boolean, unfolded?: boolean}} Item */
/** @typedef {{rows: Int32Array, counts: Map<string, Uint32Array>}} Selection */

const FINDINGS = ["critical", "warning", "info", "none"];
const STATES = ["finished", "ended", "running", "failed", "crashed", "killed"];
const VERDICTS = ["none yet", "worked", "mixed", "failed", "undecided"];

/** @param {string} id @param {string} label @param {Column} column @param {string} [none] @param {string[]} [first] @returns {Facet} */
function ofChoice(id, label, column, none = "n/a", first = []) {
  const own = column.texts ?? [];
  const codes = column.codes ?? [];
  const texts = [...new Set([...first, ...own, ...(codes.includes(-1) ? [none] : [])])];
  const place = own.map((text) => [texts.indexOf(text)]);
  const without = [texts.indexOf(none)];
  return { id, label, texts, of: (row) => (codes[row] < 0 ? without : place[codes[row]]) };
}

/** @param {string} id @param {string} label @param {Column} column @returns {Facet} */
function ofChoices(id, label, column) {
  const own = column.texts ?? [];
  const codes = column.codes ?? [];
  const none = [own.length];
  const all = codes.some((/** @type {number[]} */ one) => !one.length) ? [...own, "n/a"] : own;
  return { id, label, texts: all, of: (row) => (codes[row].length ? codes[row] : none) };
}

/** @param {Runs} runs @returns {Facet} */
function months(runs) {
  const start = runs.column("start");
  /** @type {Map<number, string>} */
  const days = new Map();
  const names = Array.from({ length: runs.count }, (_, row) => {
    const at = Math.floor(start.number(row) / 86400);
    if (Number.isNaN(at)) return "no date";
    let name = days.get(at);
    if (!name) days.set(at, (name = day(at * 86400).slice(0, 7)));
    return name;
  });
  const texts = [...new Set(names)].sort((a, b) => (a === "no date" ? 1 : b === "no date" ? -1 : a < b ? 1 : -1));
  const place = new Map(texts.map((text, i) => [text, [i]]));
  return { id: "month", label: "Month", texts, of: (row) => /** @type {number[]} */ (place.get(names[row])) };
}

/** @param {Runs} runs @param {number} limit @returns {Facet[]} */
export function facetsOf(runs, limit) {
  const severities = FINDINGS.slice(0, 3).map((name) => runs.column(name));
  const single = FINDINGS.map((_, i) => [i]);
  const incomplete = runs.column("incomplete");
  const regression = runs.column("regression");
  const flags = [[], [0], [1], [0, 1]];
  return [
    ofChoice("state", "State", runs.column("state"), "n/a", STATES),
    ofChoice("verdict", "Verdict", runs.column("verdict"), "none yet", VERDICTS),
    { id: "finding", label: "Worst finding", texts: FINDINGS,
      of: (row) => single[severities.findIndex((c) => c.number(row) > 0)] ?? single[3] },
    ofChoice("project", "Project", runs.column("project")),
    ofChoice("model", "Model", runs.column("model")),
    ofChoices("datasets", "Dataset", runs.column("datasets")),
    ofChoice("author", "Author", runs.column("author")),
    ofChoices("tags", "Tag", runs.column("tags")),
    months(runs),
    { id: "flag", label: "Flag", texts: ["incomplete", "regressed"],
      of: (row) => flags[(incomplete.number(row) ? 1 : 0) + (regression.number(row) > limit ? 2 : 0)] },
  ];
}

/** Runs that pass all conditions and facets; of each facet's values, how many runs the other filters leave.
 * @param {Runs} runs @param {Condition[]} conditions @param {Facet[]} facets @param {Map<string, Set<string>>} chosen @returns {Selection} */
export function select(runs, conditions, facets, chosen) {
  const counts = new Map(facets.map((f) => [f.id, new Uint32Array(f.texts.length)]));
  const wanted = facets.map((f) => {
    const names = chosen.get(f.id);
    return names?.size ? f.texts.map((text) => names.has(text)) : undefined;
  });
  const tallies = facets.map((f) => /** @type {Uint32Array} */ (counts.get(f.id)));
  const found = new Int32Array(runs.count);
  let n = 0;
  rows: for (let row = 0; row < runs.count; row++) {
    for (const condition of conditions) if (!condition.test(row)) continue rows;
    let failed = -1;
    for (let i = 0; i < facets.length; i++) {
      const names = wanted[i];
      if (!names || facets[i].of(row).some((code) => names[code])) continue;
      if (failed >= 0) continue rows;
      failed = i;
    }
    if (failed < 0) found[n++] = row;
    for (let i = 0; i < facets.length; i++) {
      if (failed >= 0 && failed !== i) continue;
      for (const code of facets[i].of(row)) tallies[i][code]++;
    }
  }
  return { rows: found.slice(0, n), counts };
}

/** How many runs match. @param {Runs} runs @param {Condition[]} conditions @param {Facet[]} facets @param {Map<string, Set<string>>} chosen */
export function matches(runs, conditions, facets, chosen) {
  return select(runs, conditions, facets, chosen).rows.length;
}

/** Sorts in place: missing values last in both directions, NaN before them, ties newest first.
 * @param {Int32Array} rows @param {Column} column @param {boolean} falling */
export function sort(rows, column, falling) {
  const sign = falling ? -1 : 1;
  if (column.kind === "number") {
    const keys = new Float64Array(rows.reduce((a, b) => Math.max(a, b), -1) + 1);
    for (const row of rows) {
      const value = column.number(row);
      // behind every number: what was logged as NaN, then what was not logged
      keys[row] = column.missing(row) ? Infinity : Number.isNaN(value) ? Number.MAX_VALUE : Math.max(-1e300, Math.min(1e300, sign * value));
    }
    return rows.sort((a, b) => keys[a] - keys[b] || (keys[a] === keys[b] ? b - a : 0));
  }
  const rank = ranks(rows, column);
  return rows.sort((a, b) => {
    if (rank[a] < 0 || rank[b] < 0) return (rank[a] < 0 ? 1 : 0) - (rank[b] < 0 ? 1 : 0) || b - a;
    return sign * (rank[a] - rank[b]) || b - a;
  });
}

/** Place of each run's text among the texts in alphabetical order; -1 without one. @param {Int32Array} rows @param {Column} column */
function ranks(rows, column) {
  const texts = new Map();
  for (const row of rows) if (!column.missing(row)) texts.set(column.text(row), 0);
  const order = new Intl.Collator("en", { numeric: true });
  [...texts.keys()].sort(order.compare).forEach((text, i) => texts.set(text, i));
  /** @type {number[]} */
  const out = [];
  for (const row of rows) out[row] = column.missing(row) ? -1 : texts.get(column.text(row));
  return out;
}

/** Rows with each seed set of two or more shown runs folded into one item, at the place of its mean if the rows
 * are sorted by the value, else of its first run. @param {Runs} runs @param {Int32Array} rows @param {Set<string>} open
 * @param {{column: Column, falling: boolean}} sorted @returns {Item[]} */
export function grouped(runs, rows, open, sorted) {
  /** @type {Map<number, SeedSet>} */
  const setOf = new Map();
  for (const set of runs.seedSets) for (const row of set.rows) setOf.set(row, set);
  /** @type {Map<SeedSet, number[]>} */
  const members = new Map();
  for (const row of rows) {
    const set = setOf.get(row);
    const several = set && members.get(set);
    if (several) several.push(row);
    else if (set) members.set(set, [row]);
  }
  /** @type {Item[]} */
  let items = [];
  const placed = new Set();
  for (const row of rows) {
    const set = setOf.get(row);
    const several = set && /** @type {number[]} */ (members.get(set));
    if (!set || !several || several.length < 2) items.push({ row });
    else if (!placed.has(set)) {
      placed.add(set);
      items.push({ row, set, rows: several });
    }
  }
  if (sorted.column.name === "value" && placed.size) items = byMean(items, sorted);
  return items.flatMap((item) => (item.set && open.has(item.set.group)
    ? [{ ...item, unfolded: true }, .../** @type {number[]} */ (item.rows).map((row) => ({ row, member: true }))] : [item]));
}

/** @param {Item[]} items @param {{column: Column, falling: boolean}} sorted */
function byMean(items, { column, falling }) {
  const sign = falling ? -1 : 1;
  const key = (/** @type {Item} */ item) => {
    const value = item.set ? Number(item.set.mean ?? NaN) : column.number(item.row);
    return Number.isNaN(value) ? (item.set || column.missing(item.row) ? 1e301 : 1e300) : sign * value;
  };
  return items.map((item) => ({ item, at: key(item) })).sort((a, b) => (a.at === b.at ? 0 : a.at - b.at)).map(({ item }) => item);
}
