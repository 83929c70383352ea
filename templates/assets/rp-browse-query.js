// The filter line: words, "phrases", -words, key:value, and ranges like lr>3e-4.
// @ts-check

import { numeric } from "./rp-browse-data.js";

/** @typedef {import("./rp-browse-data.js").Runs} Runs */
/** @typedef {import("./rp-browse-data.js").Column} Column */
/** @typedef {import("./rp-browse-data.js").Key} Key */
/** `test` says whether a run matches; `problem` why none can. `column` where it reads a column.
 * @typedef {{source: string, test: (row: number) => boolean, problem: string, column?: Column}} Condition */

const TOKEN = /(-?)(?:([^\s"<>=!:]+)\s*(<=|>=|!=|=|<|>|:)\s*)?("(?:[^"]*)"|[^\s"]+)/g;
/** Words a reader may use for a standing column. @type {Record<string, string>} */
const ALIASES = { date: "start", month: "start", duration: "elapsed_seconds", elapsed: "elapsed_seconds", cost: "usd", tag: "tags",
  dataset: "datasets", run: "name", goodput_percent: "goodput" };
const ORDER = ["fact", "config", "role", "metric"];

/** @param {string} query @returns {{source: string, not: boolean, key: string, operator: string, value: string}[]} */
export function tokens(query) {
  return [...query.matchAll(TOKEN)].map(([source, minus, key = "", operator = "", value]) => ({
    source, not: minus === "-", key, operator, value: value.replace(/^"|"$/g, "") }));
}

/** The keys of keys.json that a name means: exactly that name, else those whose last part it is; of one kind only.
 * `config.lr` and `metric.val/loss` say the kind. @param {string} name @param {Key[]} keys */
export function meant(name, keys) {
  const [, kind, rest] = /^(fact|config|role|metric)[.:](.+)$/.exec(name) ?? [];
  for (const one of kind ? [kind] : ORDER) {
    const wanted = (kind ? rest : name).toLowerCase();
    const of = keys.filter((key) => key.kind === one);
    const exact = of.filter((key) => key.name.toLowerCase() === wanted);
    const ends = of.filter((key) => key.name.toLowerCase().endsWith(`.${wanted}`) || key.name.toLowerCase().endsWith(`/${wanted}`));
    if (exact.length || ends.length) return [...exact, ...ends];
  }
  return [];
}

/** One column out of several that mean the same: the first that has a value. @param {string} name @param {Column[]} columns @returns {Column} */
function joined(name, columns) {
  if (columns.length === 1) return columns[0];
  const first = (/** @type {number} */ row) => columns.find((c) => !c.missing(row)) ?? columns[0];
  return { name, unit: columns[0].unit, kind: columns.every((c) => c.kind === "number") ? "number" : "text",
    number: (row) => first(row).number(row), text: (row) => first(row).text(row), missing: (row) => first(row).missing(row),
    why: (row) => first(row).why(row), from: columns.flatMap((c) => c.from ?? []) };
}

/** @param {Runs} runs @param {string} name @returns {Promise<Column | undefined>} */
export async function columnOf(runs, name) {
  const plain = name.toLowerCase();
  const known = runs.columns.get(name) ?? runs.columns.get(ALIASES[plain] ?? plain);
  if (known) return known;
  const keys = meant(name, await runs.keys());
  if (!keys.length) return undefined;
  return joined(name, await Promise.all(keys.slice(0, 8).map((key) => runs.fetchKey(key))));
}

/** A date reads as the start of that day, month or year. @param {string} value */
function moment(value) {
  const found = /^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?$/.exec(value);
  return found ? Date.UTC(Number(found[1]), Number(found[2] ?? 1) - 1, Number(found[3] ?? 1)) / 1000 : numeric(value);
}

/** @type {Record<string, (a: number, b: number) => boolean>} */
const COMPARE = { "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "=": (a, b) => a === b, "!=": (a, b) => a !== b, ":": (a, b) => a === b };

/** @param {Column} column @param {string} operator @param {string} value @returns {((row: number) => boolean) | string} */
function comparison(column, operator, value) {
  const limit = column.name === "start" || column.name === "fact:end" ? moment(value) : numeric(value);
  const ordered = !["=", "!=", ":"].includes(operator);
  if (!Number.isNaN(limit) && (column.kind === "number" || ordered)) {
    const compare = COMPARE[operator];
    return (row) => { const own = column.number(row); return !Number.isNaN(own) && compare(own, limit); };
  }
  if (ordered) return `“${value}” is no number`;
  const wanted = value.toLowerCase();
  if (operator === ":") return (row) => column.text(row).toLowerCase().includes(wanted);
  const same = (/** @type {number} */ row) => column.text(row).toLowerCase() === wanted;
  return operator === "=" ? same : (row) => !column.missing(row) && !same(row);
}

/** The conditions of a filter line; columns it names are fetched. @param {Runs} runs @param {string} query @returns {Promise<Condition[]>} */
export async function conditions(runs, query) {
  return Promise.all(tokens(query).map(async ({ source, not, key, operator, value }) => {
    const never = (/** @type {string} */ problem) => ({ source, problem, test: () => false });
    const words = (/** @type {string} */ text) => {
      const wanted = text.toLowerCase();
      return { source, problem: "", test: (/** @type {number} */ row) => runs.words(row).includes(wanted) !== not };
    };
    if (!key) return words(value);
    const column = await columnOf(runs, key);
    if (!column) return operator === ":" ? words(`${key}:${value}`) : never(`no run has a setting or metric named ${key}`);
    const test = comparison(column, operator, value);
    if (typeof test === "string") return never(test);
    return { source, problem: "", column, test: not ? (row) => !test(row) : test };
  }));
}
