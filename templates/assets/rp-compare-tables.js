// The tables of a comparison: figures, evaluations, cost, what differs, findings side by side.
// @ts-check
import { change, known } from "./rp-compare-judge.js";
import { alike, told } from "./rp-compare-facts.js";
import { count, difference, duration, number } from "./rp-units.js";

/** @typedef {import("./rp-compare-data.js").Side} Side */
/** @typedef {import("./rp-compare-sheet.js").Cell} Cell */
/** @typedef {import("./rp-compare-sheet.js").Sheet} Sheet */
/** @typedef {import("./rp-compare-judge.js").Value} Value */
/** @typedef {ReturnType<typeof import("./rp-compare-judge.js").judge>} Comparison */
/** One line of a table of figures. `intervals`: slug of a side -> [low, high] and what it says.
 * @typedef {{label: string, arrow: string, values: Record<string, Value>, delta: Record<string, any>, direction: string | null,
 *   shown: (v: number) => string, why: string, voids: Record<string, string>, intervals: Record<string, [number, number]>}} Line */

/** Sides that stand as columns; more stand as rows. */
export const COLUMNS = 5;
const SHOWN = /** @type {Record<string, (v: number) => string>} */ ({ count, number, duration });
const COST = new Set(["goodput_percent", "device_hours", "energy_kwh", "usd"]);
const LOSSES = new Set(["loss", "val_loss"]);
const ARROWS = /** @type {Record<string, string>} */ ({ lower: " ↓", higher: " ↑" });
const MOST_METRICS = 40;

/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The sd with two digits, the mean with the same decimals: pages/comparison.py. @param {number} mean @param {number} sd */
function spread(mean, sd) {
  if (!sd || !mean) return [number(mean, 5), number(sd, 2)];
  const digits = 2 + Math.floor(Math.log10(Math.abs(mean))) - Math.floor(Math.log10(sd));
  return [number(mean, Math.min(Math.max(digits, 2), 9)), number(sd, 2)];
}

/** @param {Value} found @param {(v: number) => string} shown @returns {Cell} */
function valueCell(found, shown) {
  if (!known(found.value)) return { t: found.value.why, tone: "na" };
  if (!known(found.sd)) return { t: shown(found.value), s: Object.keys(found.missing).length ? `n = ${found.n}` : "" };
  const [mean, sd] = shown === number ? spread(found.value, found.sd) : [shown(found.value), shown(found.sd)];
  return { t: `${mean} ± ${sd}`, s: `n = ${found.n}` };
}

/** The difference with an arrow, and in words which way is better. @param {any} delta @param {string | null} direction
 * @param {(v: number) => string} shown @returns {Cell["delta"]} */
export function deltaOf(delta, direction, shown) {
  if (!known(delta)) return undefined;
  if (!delta) return { t: "equal", tone: "same" };
  const word = change(delta, direction);
  return { t: `${delta > 0 ? "▲" : "▼"} ${shown(Math.abs(delta))}${word ? ` ${word}` : ""}`, tone: word === "worse" ? "bad" : word === "better" ? "good" : "same" };
}

/** Metrics of the roles, one line each. @param {Comparison} comparison @param {(role: string) => boolean} wanted @returns {Line[]} */
export function metricLines(comparison, wanted) {
  /** @type {Map<string, Line>} */
  const lines = new Map();
  for (const row of comparison.metrics.filter((m) => wanted(m.role))) {
    /** @type {Line} */
    const line = lines.get(row.name) ?? { label: row.unit ? `${row.name}, ${row.unit}` : row.name, arrow: ARROWS[row.direction ?? ""] ?? "", values: {}, delta: {},
      direction: row.direction, shown: number, why: "", voids: {}, intervals: {} };
    Object.assign(line.values, row.values);
    line.delta[row.run] = row.delta;
    const ends = row.ci95 ?? row.sampling95;
    if (ends) line.intervals[row.run] = ends;
    if (row.void) line.voids[row.run] = row.void;
    line.why = row.void || line.why || (/** @type {any} */ (row.p_holm).why ?? "");
    lines.set(row.name, line);
  }
  const validation = new Set(comparison.metrics.filter((m) => m.role === "val_loss").map((m) => m.name));
  const lacking = (/** @type {Line} */ l) => Object.values(l.values).filter((v) => !known(v.value)).length;
  const rank = (/** @type {string} */ name) => (validation.has(name) ? 0 : 1);
  return [...lines].sort(([a, one], [b, two]) => rank(a) - rank(b) || lacking(one) - lacking(two)).map(([, line]) => line);
}

/** Figures that some side knows. @param {Comparison} comparison @param {any} rules @param {boolean} cost @returns {Line[]} */
function figureLines(comparison, rules, cost) {
  return comparison.figures.filter((/** @type {any} */ f) => COST.has(f.name) === cost && (cost || Object.values(f.values).some((v) => known(v.value))))
    .map((/** @type {any} */ f) => {
      const [, label, direction, shown] = rules.figures.find((/** @type {any[]} */ rule) => rule[0] === f.name);
      return { label: capital(label), arrow: ARROWS[direction ?? ""] ?? "", values: f.values, delta: f.delta, direction, shown: SHOWN[shown], why: "", voids: {}, intervals: {} };
    });
}

/** @param {Line[]} lines @param {Side[]} sides @returns {Sheet | null} */
function sheetOf(lines, sides) {
  if (!lines.length) return null;
  const shown = (/** @type {Line} */ line, /** @type {Side} */ side) => {
    const found = line.values[side.slug];
    const cell = found ? valueCell(found, line.shown) : /** @type {Cell} */ ({ t: "not logged", tone: "na" });
    if (side === sides[0]) return cell;
    if (cell.tone && allAlike(line, sides)) return /** @type {Cell} */ ({ t: "", tone: "na" });
    const apart = line.voids[side.slug];
    return { ...cell, tone: cell.tone ?? "strong", delta: deltaOf(line.delta[side.slug], apart ? null : line.direction, line.shown === number ? (v) => difference(v, [sides[0], side].flatMap(({ slug }) => (known(line.values[slug]?.value) ? [line.values[slug].value] : []))) : line.shown), ...(apart ? { s: "not measured alike" } : {}) };
  };
  if (sides.length > COLUMNS) {
    const told = lines.filter((l) => !allAlike(l, sides));
    const notes = lines.filter((l) => allAlike(l, sides)).map((l) => `${l.label}: n/a ${/** @type {any} */ (l.values[sides[0].slug]?.value)?.why ?? "not logged"}`);
    return { wide: true, notes, head: [{ t: "Run" }, ...told.map((l) => ({ t: l.label + l.arrow }))],
      rows: told.length ? sides.map((side, i) => [{ t: side.short, swatch: i, href: side.url }, ...told.map((l) => /** @type {Cell} */ (shown(l, side)))]) : [] };
  }
  const drawn = lines.some((l) => Object.keys(l.intervals).length);
  const head = [{ t: "Figure" }, ...sides.map((side, i) => ({ t: side.short, swatch: i })), ...(drawn ? [{ t: "95 % interval of the difference" }] : [])];
  return { head, rows: lines.map((l) => [{ t: l.label + l.arrow }, ...sides.map((side) => /** @type {Cell} */ (shown(l, side))), ...(drawn ? [intervalCell(l, sides)] : [])]) };
}

/** Whether all lack it for one reason, which then stands once. @param {Line} line @param {Side[]} sides */
function allAlike(line, sides) {
  const whys = sides.map((s) => { const v = line.values[s.slug]?.value; return known(v) ? "" : /** @type {any} */ (v)?.why ?? "not logged"; });
  return Boolean(whys[0]) && whys.every((why) => why === whys[0]);
}

/** @param {Line} line @param {Side[]} sides @returns {Cell} */
function intervalCell(line, sides) {
  const all = Object.values(line.intervals);
  if (!all.length) return line.why ? { t: line.why, tone: "na" } : {}; // figures are told, not tested
  const span = Math.max(...all.flat().map(Math.abs)) || 1;
  return { ci: sides.flatMap((side, i) => {
    const ends = line.intervals[side.slug];
    return ends ? [{ swatch: i, low: ends[0], high: ends[1], span, words: `${number(ends[0], 3)} to ${number(ends[1], 3)}` }] : [];
  }) };
}

/** @param {Comparison} comparison @param {Side[]} sides @param {any} rules */
export function figures(comparison, sides, rules) {
  const sheet = sheetOf([...metricLines(comparison, (role) => LOSSES.has(role)), ...figureLines(comparison, rules, false)], sides);
  if (!sheet) return null;
  const findings = sides.map((side) => {
    const counts = ["critical", "warning", "info"].map((s) => [side.runs.reduce((sum, r) => sum + r.counts[s], 0), s]).filter(([n]) => n);
    return { t: counts.map(([n, s]) => `${n} ${s}`).join(", ") || "none" };
  });
  if (sheet.wide) {
    sheet.head.push({ t: "Findings" });
    sheet.rows.forEach((row, i) => row.push(findings[i]));
  } else sheet.rows.push([{ t: "Findings" }, ...findings, ...sheet.head.slice(sides.length + 1).map(() => ({}))]);
  return sheet;
}

/** @param {Comparison} comparison @param {Side[]} sides */
export function evaluations(comparison, sides) {
  const lines = metricLines(comparison, (role) => !LOSSES.has(role));
  const sheet = sheetOf(lines.slice(0, MOST_METRICS), sides);
  if (!sheet) return null;
  const left = sides.map((s) => [Math.max(...s.runs.map((r) => r.metrics_left)), s.name]).filter(([n]) => n).map(([n, name]) => `${n} of ${name}`);
  const notes = [...(sheet.notes ?? [])];
  if (lines.length > MOST_METRICS) notes.push(`the first ${MOST_METRICS} of ${lines.length}; runpages compare prints all`);
  if (left.length) notes.push(`left out of compare.json for want of room: ${left.slice(0, 5).join(", ")}${left.length > 5 ? "…" : ""}`);
  return { ...sheet, notes };
}

/** Cost and where the time went. @param {Comparison} comparison @param {Side[]} sides @param {any} rules */
export function cost(comparison, sides, rules) {
  const [base, ...others] = sides;
  const lost = Object.entries(rules.causes).map(([cause, label]) => {
    const values = Object.fromEntries(sides.map((s) => {
      const found = s.runs.map((r) => r.badput[cause] ?? { why: "not known" });
      const numbers = found.filter(Array.isArray).map(([v]) => v);
      const value = numbers.length ? numbers.reduce((a, b) => a + b, 0) / numbers.length : { value: null, why: found[0].why };
      return [s.slug, { value, n: numbers.length, sd: { value: null, why: "" }, missing: numbers.length < found.length && numbers.length ? { some: "" } : {} }];
    }));
    const delta = Object.fromEntries(others.map((o) => {
      const [one, two] = [values[o.slug].value, values[base.slug].value];
      return [o.slug, known(one) && known(two) ? one - two : null];
    }));
    return { label: `Lost: ${String(label).charAt(0).toLowerCase()}${String(label).slice(1)}`, arrow: " ↓", values, delta, direction: "lower", shown: duration, why: "", voids: {}, intervals: {} };
  });
  const some = lost.filter((l) => Object.values(l.values).some((v) => known(v.value) && v.value > 0));
  return sheetOf([...figureLines(comparison, rules, true), .../** @type {any} */ (some)], sides);
}

/** @param {import("./rp-compare-facts.js").Difference[]} differences @param {Side[]} sides @param {number} most */
export function differing(differences, sides, most = 200) {
  const [base] = sides;
  const same = (/** @type {any[]} */ one, /** @type {any[]} */ two) => one.map(alike).join("\n") === two.map(alike).join("\n");
  const cell = (/** @type {any} */ d, /** @type {Side} */ side) => {
    const values = d.values[side.slug];
    if (!values.length) return /** @type {Cell} */ ({ t: left(side) ? "not logged or left out of compare.json" : "not logged", tone: "na" });
    const words = values.map((/** @type {any} */ v) => told(v)).join(", ").slice(0, 300);
    return /** @type {Cell} */ ({ t: words, mono: true, ...(side !== base && !same(values, d.values[base.slug]) ? { tone: "diff" } : {}) });
  };
  const shown = differences.slice(0, most);
  if (sides.length > COLUMNS) {
    return { wide: true, right: false, head: [{ t: "Run" }, ...shown.slice(0, 40).map((d) => ({ t: d.key.replace(/^config\./, ""), mono: true }))],
      rows: sides.map((side, i) => [{ t: side.short, swatch: i, href: side.url }, ...shown.slice(0, 40).map((d) => cell(d, side))]) };
  }
  return { right: false, head: [{ t: "Setting" }, ...sides.map((side, i) => ({ t: side.short, swatch: i }))],
    rows: shown.map((d) => [{ t: d.key.replace(/^config\./, ""), mono: true }, ...sides.map((side) => cell(d, side))]) };
}

/** @param {Side} side */
const left = (side) => side.runs.some((r) => r.facts_left);

/** Steps by which findings of one kind may lie apart to stand in one row: a part of the run, at least two. */
const NEAR = 0.002;

/** Findings of all sides, those of one kind and metric at the same steps in one row. @param {Side[]} sides @param {any} rules */
export function findings(sides, rules) {
  const end = Math.max(1, ...sides.flatMap((s) => s.runs.map((r) => (Array.isArray(r.figures.steps) ? r.figures.steps[0] : 0))));
  const near = Math.max(2, NEAR * end);
  /** @type {{kind: string, what: string, start: number, end: number, hits: Map<string, any>}[]} */
  const rows = [];
  const all = sides.flatMap((side) => side.runs.flatMap((run) => run.events.map((/** @type {any} */ e) => ({ side, run, e })))).sort((a, b) => a.e.start - b.e.start);
  for (const { side, run, e } of all) {
    const what = e.role ?? e.metric;
    const row = rows.find((r) => r.kind === e.kind && r.what === what && e.start <= r.end + near && !r.hits.has(side.slug)) ??
      rows[rows.push({ kind: e.kind, what, start: e.start, end: e.end, hits: new Map() }) - 1];
    row.hits.set(side.slug, { ...e, run });
  }
  rows.sort((a, b) => b.hits.size - a.hits.size || a.start - b.start);
  const head = [{ t: "Step" }, { t: "Finding" }, ...(sides.length > COLUMNS ? [] : sides.map((side, i) => ({ t: side.short, swatch: i }))), { t: "Reading" }];
  return { total: rows.length, sheet: { right: false, head, rows: rows.slice(0, 60).map((row) => {
    const hit = (/** @type {Side} */ side) => {
      const e = row.hits.get(side.slug);
      const why = side.runs.map((r) => r.findings[row.kind]?.why).find(Boolean);
      if (!e) return /** @type {Cell} */ (why && !side.runs.some((r) => r.findings[row.kind]?.count) ? { t: why, tone: "na" } : { t: "none" });
      return /** @type {Cell} */ ({ t: known(e.peak) ? number(e.peak, 3) : e.severity, tone: "strong", s: e.start === row.start ? e.severity : `${e.severity}, step ${count(e.start)}`, href: `${side.url.replace(/[^/]+\/$/, "")}${side.isGroup ? "../../" : ""}${e.run.slug}/#event-${e.id}` });
    };
    const judged = sides.filter((s) => !s.runs.every((r) => r.findings[row.kind]?.why));
    const reading = row.hits.size > 1 ? (row.hits.size === judged.length ? (judged.length === 2 ? "both" : `all ${judged.length}`) : `${row.hits.size} of ${judged.length}`)
      : `only ${sides.find((s) => row.hits.has(s.slug))?.name}`;
    const cells = sides.length > COLUMNS ? [] : sides.map(hit);
    return [{ t: count(row.start) }, { t: `${row.kind.replaceAll("_", " ")} of ${row.what.replaceAll("_", " ")}` }, ...cells, { t: reading }];
  }) } };
}
