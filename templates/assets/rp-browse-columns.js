// What the columns of the table show: heading, width, and the nodes of a cell.
// @ts-check

import { count, day, duration, number } from "./rp-units.js";

/** @typedef {import("./rp-browse-data.js").Runs} Runs */
/** @typedef {import("./rp-browse-data.js").Column} Column */
/** @typedef {import("./rp-browse-rows.js").Item} Item */
/** `sort` is the column that its heading sorts by, `rem` its width.
 * @typedef {{id: string, label: string, right: boolean, rem: number, sort: Column | undefined, falling: boolean,
 *   cell: (item: Item, ready: () => void) => (Node | string)[], csv: (row: number) => string | number}} Shown */

export const DEFAULT = ["verdict", "curve", "value", "findings", "steps", "elapsed_seconds", "start"];
const LABELS = new Map(Object.entries({ value: "Loss", elapsed_seconds: "Duration", start: "Date", usd: "Cost, USD", device_hours: "Device-hours",
  datasets: "Data", seed: "Seed", regression: "vs. baseline", goodput: "Goodput, %", mfu: "MFU, %" }));
const STATE_CLASS = new Map(Object.entries({ finished: "good", failed: "crit", crashed: "crit", killed: "warn", running: "running" }));
const SEVERITIES = /** @type {const} */ ([["critical", "crit"], ["warning", "warn"], ["info", "info"]]);
const VERDICT_CLASS = new Map(Object.entries({ worked: "good", failed: "crit", mixed: "mixed" }));

/** An element with a class and contents; text is always text. @param {string} tag @param {string} name @param {...(Node | string)} inside */
export function element(tag, name, ...inside) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...inside);
  return node;
}

/** @param {string} style @param {string} words */
function chip(style, words) {
  const sign = element("i", "rp-i");
  sign.setAttribute("aria-hidden", "true");
  return element("span", `rp-chip rp-chip--${style}`, sign, words);
}

/** @param {string} why */
function missing(why) {
  const node = element("span", "rp-dim", "n/a");
  node.title = why;
  return node;
}

/** @param {...(Node | string)} inside */
const small = (...inside) => element("small", "", ...inside);

/** @param {string} heights */
function curve(heights) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "rp-spark");
  svg.setAttribute("viewBox", "0 0 96 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const points = [...heights].map((c, i) => `${((96 * i) / (heights.length - 1)).toFixed(1)} ${(22 - (20 * digits.indexOf(c)) / 63).toFixed(1)}`);
  path.setAttribute("d", `M${points.join("L")}`);
  svg.append(path);
  return svg;
}

/** @param {Column} column @returns {(value: number) => string} */
function formatOf(column) {
  const name = column.name.replace(/^\w+:/, "");
  if (name === "start" || name === "end") return day;
  if (column.unit === "s" && name === "elapsed_seconds") return duration;
  if (["steps", "seed", "tokens", "parameters"].includes(name)) return count;
  if (name === "regression") return (v) => `${v > 0 ? "+" : ""}${number(100 * v, 2)} %`;
  return number;
}

/** @param {Column} column @param {number} row @param {(value: number) => string} format */
function words(column, row, format) {
  if (column.missing(row)) return missing(column.why(row));
  const value = column.number(row);
  return column.kind === "number" ? format(value) : column.text(row);
}

/** Values of several runs: one if all are alike, else from least to largest. @param {Column} column @param {number[]} rows @param {(value: number) => string} format */
function span(column, rows, format) {
  const own = rows.filter((row) => !column.missing(row));
  if (!own.length) return [missing(column.why(rows[0]))];
  if (column.kind !== "number") {
    const texts = [...new Set(own.map((row) => column.text(row)))];
    return [texts.length === 1 ? texts[0] : `${texts.length} differ`];
  }
  const values = own.map((row) => column.number(row)).filter((v) => !Number.isNaN(v));
  if (!values.length) return ["NaN"];
  const [low, high] = [format(Math.min(...values)), format(Math.max(...values))];
  return low === high ? [low] : [low, small(`to ${high}`)];
}

/** The name cell: link, project, group, state. @param {Runs} runs @param {Item} item @param {string} root */
export function nameCell(runs, { row, set, rows, member, unfolded }, root) {
  const link = /** @type {HTMLAnchorElement} */ (element("a", "", runs.column("name").text(row)));
  link.href = `${root}${runs.column("slug").text(row)}/`;
  link.title = link.textContent ?? "";
  const states = (/** @type {number[]} */ all) => {
    const tally = new Map();
    for (const one of all) tally.set(runs.column("state").text(one), (tally.get(runs.column("state").text(one)) ?? 0) + 1);
    return [...tally].map(([state, n]) => (all.length > 1 ? `${n} ${state}` : state)).join(", ");
  };
  if (set && rows) {
    const shown = rows.length < set.rows.length ? `${rows.length} of ${set.rows.length} seeds` : `${rows.length} seeds`;
    const toggle = element("button", "rp-fold", set.group);
    toggle.setAttribute("type", "button");
    toggle.dataset.rpSet = set.group;
    toggle.setAttribute("aria-expanded", String(Boolean(unfolded)));
    return [toggle, small(`${shown} · ${states(rows)} · ${runs.column("project").text(row)}`)];
  }
  const state = runs.column("state").text(row);
  const sign = element("i", "rp-i");
  const line = small();
  const seed = runs.column("seed");
  const before = member && !seed.missing(row) ? `seed ${seed.text(row)}` : runs.column("project").text(row);
  const apart = runs.column("apart").text(row);
  line.append(element("span", `rp-st rp-chip--${STATE_CLASS.get(state) ?? "ended"}`, sign, ` ${state}`));
  if (runs.column("incomplete").number(row)) line.append(", incomplete");
  line.append(` · ${apart && apart !== before ? `${apart} · ` : ""}${before}`);
  return [link, line];
}

/** @param {Runs} runs @param {Item} item */
function valueCell(runs, { row, set, rows }) {
  const value = runs.column("value");
  if (set && rows) {
    if (set.mean === null) return [missing("the seed set's page gives no mean of this metric")];
    const sd = set.sd === null ? "sd n/a" : `± ${number(Number(set.sd), 2)}`;
    return [element("b", "", number(Number(set.mean), 5)), element("span", "rp-wide", ` ${sd}`),
      small(element("span", "rp-wide", "mean ± sd"), element("span", "rp-narrow", sd), `, n = ${set.n}`)];
  }
  return [value.missing(row) ? missing(value.why(row)) : number(value.number(row), 5), small(runs.column("metric").text(row) || "no loss")];
}

/** @param {Runs} runs @param {number[]} rows */
function findings(runs, rows) {
  const chips = SEVERITIES.flatMap(([name, style]) => {
    const n = rows.reduce((sum, row) => sum + (runs.column(name).number(row) || 0), 0);
    if (!n) return [];
    const node = chip(style, count(n));
    node.title = `${n} ${name}`;
    node.append(element("span", "rp-vh", ` ${name}`));
    return [node, " "];
  });
  return chips.length ? chips : [element("span", "rp-dim", "none")];
}

/** @param {Runs} runs @param {number[]} rows */
function verdict(runs, rows) {
  const column = runs.column("verdict");
  const given = rows.filter((row) => !column.missing(row)).map((row) => column.text(row));
  if (!given.length) return [element("span", "rp-dim", "none yet")];
  if (new Set(given).size > 1 || given.length < rows.length) return [`${given.length} of ${rows.length} judged`];
  const style = VERDICT_CLASS.get(given[0]);
  return [style ? chip(style, given[0]) : given[0]];
}

/** @param {Runs} runs @param {number} row @param {() => void} ready */
function sparkCell(runs, row, ready) {
  const heights = runs.spark(row, ready);
  return heights === undefined ? [] : heights.length > 1 ? [curve(heights)] : [element("span", "rp-dim", "no curve")];
}

/** The heading of a column that has none of its own. @param {string} id */
export function labelOf(id) {
  const name = id.replace(/^(fact|role|config|metric):/, "");
  const own = LABELS.get(name);
  if (own) return own;
  return /^(role|config|metric):/.test(id) ? name : name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}

/** How a column is shown. `id` is a standing column, one of `curve` and `findings`, or a fetched `kind:name`.
 * @param {Runs} runs @param {string} id @returns {Shown} */
export function shown(runs, id) {
  const label = labelOf(id);
  const all = (/** @type {Item} */ item) => item.rows ?? [item.row];
  if (id === "curve") {
    return { id, label: "Loss curve", right: false, rem: 4.4, sort: undefined, falling: false, csv: () => "",
      cell: (item, ready) => sparkCell(runs, item.row, ready) };
  }
  if (id === "findings") {
    const [critical, warning, info] = SEVERITIES.map(([name]) => runs.column(name));
    const weight = (/** @type {number} */ row) => 1e8 * critical.number(row) + 1e4 * warning.number(row) + info.number(row);
    return { id, label: "Findings", right: false, rem: 6.5, falling: true,
      sort: { name: id, unit: "", kind: "number", number: weight, text: (row) => String(weight(row)), missing: () => false, why: () => "" },
      csv: (row) => SEVERITIES.map(([name]) => `${runs.column(name).number(row)} ${name}`).join(", "),
      cell: (item) => findings(runs, all(item)) };
  }
  const column = runs.column(id);
  const right = column.kind === "number";
  const base = { id, label, right, sort: column, falling: right && id !== "value",
    csv: (/** @type {number} */ row) => (right && !Number.isNaN(column.number(row)) ? column.number(row) : column.text(row)) };
  if (id === "value") return { ...base, rem: 6.6, cell: (item) => valueCell(runs, item) };
  if (id === "verdict") return { ...base, rem: 5.2, cell: (item) => verdict(runs, all(item)) };
  const format = formatOf(column);
  return { ...base, rem: right ? Math.max(id === "elapsed_seconds" ? 5 : 4.4, 0.36 * label.length + 0.8) : 6,
    cell: (item) => (item.rows ? span(column, item.rows, format) : [words(column, item.row, format)]) };
}
