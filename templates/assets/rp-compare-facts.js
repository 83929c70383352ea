// What differs between sides, and what of it makes them hard to compare: the rules are those of
// analysis/differences.py and comparability.py, whose tables comparing.json holds.
// @ts-check
import { count } from "./rp-units.js";

/** @typedef {import("./rp-compare-data.js").Side} Side */
/** @typedef {{key: string, values: Record<string, any[]>}} Difference */
/** @typedef {{text: string, voids: string[]}} Caution */

const NUMBER = /^\s*[+-]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?\s*$/i;

/** Equal for values that mean the same: 0.001 and its text. @param {any} value @returns {string} */
export function alike(value) {
  if (typeof value === "number") return String(value);
  if (typeof value === "string") {
    if (NUMBER.test(value)) return String(Number(value.replaceAll("_", "")));
    return /^\s*[+-]?(nan|inf|infinity)\s*$/i.test(value) ? value.trim().toLowerCase().replace(/^\+/, "").replace("infinity", "inf") : value;
  }
  if (value && typeof value === "object") return value.digest ? `#${value.digest}` : JSON.stringify(value, sorted);
  return String(value);
}

/** @param {string} _ @param {any} value */
function sorted(_, value) {
  if (!value || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A value as Python prints it. @param {any} value @returns {string} */
export function told(value, quoted = false) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number") return Math.abs(value) < 1e-4 && value ? value.toExponential().replace(/e([+-])(\d)$/, "e$10$2") : String(value);
  if (Array.isArray(value)) return `[${value.map((v) => told(v, true)).join(", ")}]`;
  if (typeof value === "object") {
    if (value.digest) return `${value.cut}…`;
    return `{${Object.entries(value).map(([k, v]) => `'${k}': ${told(v, true)}`).join(", ")}}`;
  }
  return quoted ? `'${value}'` : value;
}

/** @param {Record<string, any>[]} facts @param {string} key */
function distinct(facts, key) {
  const found = new Map(facts.filter((one) => key in one).map((one) => [alike(one[key]), one[key]]));
  return [...found.keys()].sort().map((text) => found.get(text));
}

/** Facts that are not the same on all sides, by key.
 * @param {Record<string, Record<string, any>[]>} sides slug -> the facts of its runs @param {any} rules @returns {Difference[]} */
export function differences(sides, rules, butSeeds = false) {
  const seed = new RegExp(`^(?:${rules.seed})$`, "i");
  const byDesign = (/** @type {string} */ key) => {
    const last = key.slice(key.lastIndexOf(".") + 1);
    return seed.test(last) || rules.outputs.includes(last.toLowerCase().replaceAll("-", "_"));
  };
  const keys = [...new Set(Object.values(sides).flat().flatMap((one) => Object.keys(one)))].sort();
  const out = [];
  for (const key of keys) {
    if (butSeeds && byDesign(key)) continue;
    const values = Object.fromEntries(Object.entries(sides).map(([slug, facts]) => [slug, distinct(facts, key)]));
    const each = Object.values(values);
    const apart = new Set(each.map((v) => v.map(alike).join("\n") + (v.length ? "" : "\0"))).size > 1;
    if (apart || each.some((v) => v.length > 1)) out.push({ key, values });
  }
  return out;
}

/** @param {Side[]} sides */
export const factsOf = (sides) => Object.fromEntries(sides.map((s) => [s.slug, s.runs.map((r) => r.facts)]));

/** @param {Side} base @param {Side} other @param {any} rules @returns {Caution[]} */
export function cautions(base, other, rules) {
  const pair = [base, other];
  const found = differences(factsOf(pair), rules, pair.some((s) => s.isGroup));
  /** @type {Caution[]} */
  const out = [];
  /** @type {string[]} */
  const unknown = [];
  for (const topic of rules.topics) {
    const keys = new RegExp(`^(?:${topic.keys})$`, "i");
    const own = found.filter((d) => keys.test(d.key));
    const known = own.filter((d) => Object.values(d.values).every((v) => v.length));
    if (known.length) {
      const words = known.slice(0, 4).map((d) => `${d.key} is ${pair.map((s) => `${d.values[s.slug].map((v) => told(v)).join(", ").slice(0, 80) || "not logged"} in ${s.name}`).join(", ")}`);
      out.push({ text: `${topic.what} differ${topic.ending}: ${words.join("; ")}`, voids: topic.voids });
    } else if (own.length) unknown.push(topic.what);
  }
  if (unknown.length) out.push({ text: `recorded by only one of ${base.name} and ${other.name}: ${unknown.join(", ")}`, voids: [] });
  return [...out, ...[...lengths(pair), ...metrics(pair)].map((text) => ({ text, voids: [] }))];
}

/** Tokens where both sides know them, else steps. @param {Side[]} pair @returns {string[]} */
function lengths(pair) {
  const units = pair.map((s) => [...new Set(s.runs.map((r) => r.step_unit))].sort());
  if (units[0].join("\n") !== units[1].join("\n")) {
    const words = units.map((each) => each.map((u) => u || "steps").join(", "));
    return [`the logs count ${words[0]} in ${pair[0].name}, ${words[1]} in ${pair[1].name}`];
  }
  for (const what of ["tokens", "steps"]) {
    const known = pair.map((s) => s.runs.map((r) => r.figures[what]).filter(Array.isArray).map(([v]) => v));
    if (!known.every((v) => v.length)) continue;
    const longest = known.map((v) => Math.max(...v));
    if (Math.abs(longest[0] - longest[1]) <= 0.01 * Math.max(...longest)) return [];
    return [`different length of training: ${what} ${longest.map((v, i) => `${count(v)} in ${pair[i].name}`).join(", ")}`];
  }
  return [];
}

/** Losses and evaluations that only one side has. @param {Side[]} pair @returns {string[]} */
function metrics(pair) {
  const names = pair.map((s) => new Set(s.runs.flatMap((r) => r.metrics.map((/** @type {any[]} */ m) => m[0]))));
  return pair.flatMap((s, i) => {
    const other = pair[1 - i];
    if (other.runs.some((r) => r.metrics_left)) return []; // its file may have left them out
    const lone = [...names[i]].filter((name) => !names[1 - i].has(name)).sort();
    if (!lone.length) return [];
    return [`only ${s.name} has ${lone.slice(0, 8).join(", ")}${lone.length > 8 ? ` and ${lone.length - 8} more` : ""}`];
  });
}
