// Judges sides against a base exactly as `runpages compare` does (analysis/compare.py, verdict.py);
// the result has the form of its JSON.
// @ts-check
import { cautions, differences, factsOf } from "./rp-compare-facts.js";
import { hedges, holm, mean, paired, variance, welch } from "./rp-compare-statistics.js";
import { difference, number } from "./rp-units.js";

/** @typedef {import("./rp-compare-data.js").Side} Side */
/** @typedef {number | {value: null, why: string}} Quantity */
/** @typedef {{value: Quantity, n: number, sd: Quantity, missing: Record<string, string>}} Value */
/** @typedef {{name: string, role: string, direction: string | null, unit: string, run: string, values: Record<string, Value>,
 *   delta: Quantity, ci95: [number, number] | null, sampling95: [number, number] | null, p: Quantity, p_holm: Quantity,
 *   hedges_g: Quantity, test: string | null, void: string, verdict: string}} Row */

const LONE = "one run: no variance known";
const BAD = new Set(["failed", "crashed", "killed", "running"]);

/** @param {string} why @returns {{value: null, why: string}} */
export const unknown = (why) => ({ value: null, why });
/** @param {any} q @returns {q is number} */
export const known = (q) => typeof q === "number";

/** @param {any} run @param {string} name */
const metric = (run, name) => run.metrics.find((/** @type {any[]} */ m) => m[0] === name);
/** @param {any} value */
const finite = (value) => typeof value === "number" && Number.isFinite(value);

/** The values that count, and why a run does not: analysis/seeds.py. @param {Side} side @param {string} name */
function counted(side, name) {
  const end = Math.max(0, ...side.runs.map((r) => metric(r, name)?.[4] ?? 0));
  /** @type {Map<string, number>} */
  const values = new Map();
  /** @type {Record<string, string>} */
  const missing = {};
  for (const run of side.runs) {
    const found = metric(run, name);
    const why = whyNot(run, found, end);
    if (why) missing[run.slug] = why;
    else values.set(run.slug, found[5]);
  }
  return { values, missing };
}

/** @param {any} run @param {any[] | undefined} found @param {number} end */
function whyNot(run, found, end) {
  if (!found && run.metrics_left) return "not logged, or left out of compare.json for want of room";
  if (!found) return `not logged${["finished", "ended"].includes(run.state) ? "" : ` (${run.state})`}`;
  if (!finite(found[6]) || !finite(found[5])) return `its last value is ${number(Number(found[6]))}`;
  if (run.state !== "finished" && found[4] < 0.9 * end) {
    return `only to step ${found[4].toLocaleString("en-US")} of ${end.toLocaleString("en-US")} (${run.state === "ended" ? "no end marker" : run.state})`;
  }
  return "";
}

/** @param {number[]} found @param {Record<string, string>} missing @returns {Value} */
function valueOf(found, missing) {
  if (!found.length) {
    return { value: unknown([...new Set(Object.values(missing))].join("; ") || "not logged"), n: 0, sd: unknown("no value"), missing };
  }
  return { value: mean(found), n: found.length, sd: found.length > 1 ? Math.sqrt(variance(found)) : unknown(LONE), missing };
}

/** @param {Quantity} one @param {Quantity} other @returns {Quantity} */
const minus = (one, other) => (known(one) && known(other) ? one - other : unknown("not known on both sides"));

/** @param {Side} side @param {string[]} told */
function names(side, told) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const run of side.runs) for (const [name, role] of run.metrics) if (told.includes(role)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].filter(([, n]) => n >= Math.min(2, side.runs.length)).map(([name]) => name);
}

/** @param {string} name @param {Side} base @param {Side} other @param {import("./rp-compare-facts.js").Caution[]} met @returns {Row} */
function row(name, base, other, met) {
  const pair = [base, other];
  const found = pair.map((s) => counted(s, name));
  const values = Object.fromEntries(pair.map((s, i) => [s.slug, valueOf([...found[i].values.values()], found[i].missing)]));
  const [, role, direction, unit] = pair.flatMap((s) => s.runs).map((r) => metric(r, name)).find(Boolean);
  const { test, why } = tested(pair, found.map((f) => f.values));
  const samples = found.map((f) => [...f.values.values()]);
  const effect = test ? hedges(samples[0], samples[1]) : null;
  const delta = minus(values[other.slug].value, values[base.slug].value);
  return { name, role, direction, unit, run: other.slug, values, delta,
    ci95: test?.ci95 ?? null, p: test ? test.p : unknown(why), p_holm: unknown(why), hedges_g: effect ?? unknown(why),
    test: test?.method ?? null, sampling95: sampling(name, pair, delta), void: met.find((c) => c.voids.includes(role))?.text ?? "", verdict: "" };
}

/** The test that these values allow, or why there is none. @param {Side[]} pair @param {Map<string, number>[]} found */
function tested(pair, found) {
  if (found.some((f) => !f.size)) return { test: null, why: "not known on both sides" };
  const lone = pair.filter((_, i) => found[i].size < 2);
  if (lone.length) return { test: null, why: lone.length === 2 ? LONE : `${lone[0].name} is one run: its variance is not known` };
  const mixed = pair[0].mixed || pair[1].mixed;
  if (mixed) return { test: null, why: mixed };
  const seeds = pair.map((s, i) => bySeed(s, found[i]));
  const order = [...seeds[0].keys()].sort((a, b) => a - b);
  const alike = order.length && order.length === seeds[1].size && order.every((seed) => seeds[1].has(seed));
  const [one, two] = alike ? seeds.map((each) => order.map((seed) => /** @type {number} */ (each.get(seed)))) : found.map((f) => [...f.values()]);
  const test = alike ? paired(one, two) : welch(one, two);
  return { test, why: test ? "" : "the values do not vary" };
}

/** Seed -> value; empty unless each value has a seed of its own. @param {Side} side @param {Map<string, number>} values */
function bySeed(side, values) {
  /** @type {Map<number, number>} */
  const out = new Map();
  for (const run of side.runs) if (values.has(run.slug) && run.seed !== null) out.set(run.seed, /** @type {number} */ (values.get(run.slug)));
  return out.size === values.size ? out : new Map();
}

/** @param {string} name @param {Side[]} pair @param {Quantity} delta @returns {[number, number] | null} */
function sampling(name, pair, delta) {
  if (pair.some((s) => s.runs.length > 1) || !known(delta)) return null;
  const errors = pair.map((s) => metric(s.runs[0], name)?.[7]);
  if (!errors.every(known)) return null;
  const half = 1.959964 * Math.hypot(...errors);
  return [delta - half, delta + half];
}

/** `better` or `worse` by the bare difference. @param {Quantity} delta @param {string | null} direction */
export function change(delta, direction) {
  if (!known(delta) || !delta || !direction) return "";
  return (delta > 0) === (direction === "lower") ? "worse" : "better";
}

/** @param {Side} side */
function ownWarnings(side) {
  if (side.told.length) return [...side.warnings, ...side.told];
  const labels = new Map(side.runs.map((r) => [r.slug, side.runs.filter((o) => o.name === r.name).length > 1 ? r.slug : r.name]));
  const out = [];
  for (const run of side.runs) {
    const name = side.runs.length > 1 ? labels.get(run.slug) : side.name;
    if (BAD.has(run.state)) out.push(`${name} is not a finished run: ${run.state === "running" ? "still running" : run.state}`);
    out.push(...run.incomplete.map((/** @type {string} */ why) => `${name} is incomplete: ${why}`));
  }
  return [...side.warnings, ...(side.runs.length > 1 ? out.map((text) => `${side.name}: ${text}`) : out)];
}

/** @param {Side[]} sides */
function lone(sides) {
  const alone = sides.filter((s) => s.runs.length === 1).map((s) => s.name);
  if (!alone.length) return [];
  return [`${alone.length > 1 ? "one run each" : "one run"} of ${alone.join(", ")}: a difference cannot be told from seed noise by these runs alone`];
}

/** @param {Side} base @param {Side} other */
function unpaired(base, other) {
  const seeds = [base, other].map((s) => new Set(s.runs.map((r) => r.seed).filter((seed) => seed !== null)));
  const alone = [0, 1].map((i) => [...seeds[i]].filter((seed) => !seeds[1 - i].has(seed)).sort((a, b) => a - b));
  const shared = [...seeds[0]].some((seed) => seeds[1].has(seed));
  if (!shared || alone.every((a) => !a.length) || seeds.some((s) => s.size < 2)) return [];
  return /** @type {[Side, number[]][]} */ ([[other, alone[0]], [base, alone[1]]]).filter(([, a]) => a.length)
    .map(([absent, a]) => `${absent.name} has no run of seed ${a.join(", ")}: no pairs are made`);
}

/** @param {Side[]} pair @param {Row[]} rows */
function uncounted(pair, rows) {
  const out = [];
  for (const side of pair.filter((s) => s.isGroup)) {
    for (const found of rows.filter((row) => row.values[side.slug]?.n)) {
      for (const [slug, why] of Object.entries(found.values[side.slug]?.missing ?? {})) {
        const run = side.runs.find((r) => r.slug === slug);
        const label = side.runs.filter((r) => r.name === run.name).length > 1 ? slug : run.name;
        out.push(`${side.name}: ${label} does not count for ${found.name}: ${why}`);
      }
    }
  }
  return out;
}

/** What is known of both sides. @param {Row} row */
const valuesOf = (row) => Object.values(row.values).flatMap(({ value }) => (known(value) ? [value] : []));

/** @param {Row | undefined} found @param {Side} base @param {Side} other @param {number} tests */
function sentence(found, base, other, tests) {
  if (!found) return `No verdict on ${other.name}: no metric of quality is known for both it and ${base.name}.`;
  const delta = known(found.delta) ? found.delta : 0;
  const unit = found.unit ? ` ${found.unit}` : "";
  let words = delta ? `${found.name} is ${difference(Math.abs(delta), valuesOf(found))}${unit} ${delta > 0 ? "higher" : "lower"}` : `${found.name} equals that of ${base.name}`;
  if (found.void) return `No verdict on ${other.name}: ${words}, but the two are not measured alike (${found.void}).`;
  if (found.sampling95) {
    const [low, high] = found.sampling95.map((v) => number(v, 3));
    words += ` (95 % interval by the evaluation's examples alone: ${low} to ${high})`;
  }
  if (!found.ci95 || !known(found.p_holm)) return `No verdict on ${other.name}: ${words}; ${/** @type {any} */ (found.p_holm).why}.`;
  const [low, high] = found.ci95.map((v) => number(v, 3));
  const counts = Object.values(found.values).map((v) => v.n);
  let how = found.test === "paired" ? `paired t test over ${counts[0]} seeds` : `Welch t test of ${counts.join(" and ")} runs`;
  how += `, ${found.p_holm < 1e-4 ? "p < 0.0001" : `p = ${number(found.p_holm, 2)}`}${tests < 2 ? "" : ` adjusted for ${tests} tests`}`;
  if (known(found.hedges_g)) how += `, g = ${number(found.hedges_g, 3)}`;
  const told = `${words}, 95 % interval of the difference ${low} to ${high} (${how}).`;
  return ["better", "worse"].includes(found.verdict) ? `${other.name} is ${found.verdict} than ${base.name}: ${told}` : `${other.name} cannot be told from ${base.name}: ${told}`;
}

/** What no test of final values says: that a side broke where the other did not. @param {Side} base @param {Side} other */
function wentWrong(base, other) {
  const broken = [base, other].map((side) => side.runs.flatMap((run) => run.events.filter((/** @type {any} */ e) => e.severity === "critical")));
  const counts = [base, other].map((side) => side.runs.reduce((sum, run) => sum + run.counts.critical, 0));
  for (const [own, calm] of [[0, 1], [1, 0]]) {
    if (!counts[own] || counts[calm]) continue;
    const first = broken[own].reduce((one, e) => (e.start < one.start ? e : one), broken[own][0]);
    const many = counts[own] > 1 ? `${counts[own]} critical findings, the first a` : "a critical";
    return ` ${[base, other][own].name} has ${many} ${first.kind.replaceAll("_", " ")} at step ${first.start.toLocaleString("en-US")}.`;
  }
  return "";
}

/** The metric that the sides are judged by. @param {Side} base @param {Row[]} own */
export function chosen(base, own) {
  const names = ["val_loss", "loss"].flatMap((role) => base.runs.map((r) => r.main[role]));
  const rows = own.filter((r) => known(r.delta));
  return names.map((name) => rows.find((r) => r.name === name)).find(Boolean) ?? rows[0];
}

/** @param {Side[]} sides @param {any[]} figure */
function figureRow(sides, [name, , direction]) {
  let unit = "";
  const values = Object.fromEntries(sides.map((side) => {
    const found = side.runs.map((r) => r.figures[name]);
    unit ||= found.find(Array.isArray)?.[1] ?? "";
    const missing = Object.fromEntries(side.runs.flatMap((r, i) => (Array.isArray(found[i]) ? [] : [[r.slug, found[i].why]])));
    return [side.slug, valueOf(found.filter(Array.isArray).map(([v]) => v), missing)];
  }));
  const [base, ...others] = sides;
  return { name, unit, direction, values, delta: Object.fromEntries(others.map((o) => [o.slug, minus(values[o.slug].value, values[base.slug].value)])) };
}

/** @param {Side} side @param {string} kind */
function found(side, kind) {
  const entries = side.runs.map((r) => r.findings[kind] ?? {});
  const count = entries.reduce((sum, e) => sum + (e.count ?? 0), 0);
  if (!count && entries.every((e) => e.why)) return unknown(entries[0].why);
  const steps = [...new Set(entries.flatMap((e) => e.steps ?? []))].sort((a, b) => a - b).slice(0, 5);
  return { count, runs: entries.filter((e) => e.count).length, steps };
}

/** The base is the first side. @param {Side[]} sides @param {any} rules */
export function judge(sides, rules) {
  const [base, ...others] = sides;
  /** @type {Row[]} */
  const metrics = [];
  const warnings = [...lone(sides), ...sides.flatMap(ownWarnings)];
  for (const other of others) {
    const met = cautions(base, other, rules);
    warnings.push(...met.map((c) => c.text), ...unpaired(base, other));
    const wanted = [...new Set([...names(base, rules.told), ...names(other, rules.told)])];
    metrics.push(...wanted.map((name) => row(name, base, other, met)));
    warnings.push(...uncounted([base, other], metrics));
  }
  const withTest = metrics.filter((m) => known(m.p));
  holm(withTest.map((m) => /** @type {number} */ (m.p))).forEach((p, i) => { withTest[i].p_holm = p; });
  for (const m of metrics) {
    if (known(m.p_holm) && m.direction && !m.void && known(m.delta) && m.delta) m.verdict = m.p_holm >= 0.05 ? "not told apart" : change(m.delta, m.direction);
  }
  const own = (/** @type {Side} */ other) => metrics.filter((m) => m.run === other.slug);
  const findings = rules.kinds.map((/** @type {string} */ kind) => ({ kind, values: Object.fromEntries(sides.map((s) => [s.slug, found(s, kind)])) }));
  return {
    base: base.slug,
    verdicts: Object.fromEntries(others.map((o) => [o.slug, sentence(chosen(base, own(o)), base, o, withTest.length) + wentWrong(base, o)])),
    metrics, tests: withTest.length,
    figures: rules.figures.map((/** @type {any[]} */ figure) => figureRow(sides, figure)),
    findings: findings.filter((/** @type {any} */ f) => Object.values(f.values).some((v) => /** @type {any} */ (v).count)),
    differences: differences(factsOf(sides), rules, sides.some((s) => s.isGroup)),
    warnings: [...new Set(warnings)],
  };
}
