// A table of the compare page as data, made into elements and into Markdown: both say the same.
// @ts-check
import { element } from "./rp-tools.js";

/** `t` is the text, `s` a quieter line below, `swatch` the number of a side, `ci` an interval drawn against zero.
 * @typedef {{t?: string, s?: string, tone?: "good" | "bad" | "na" | "diff" | "strong", swatch?: number, mono?: boolean,
 *   delta?: {t: string, tone: string}, href?: string, ci?: {swatch: number, low: number, high: number, span: number, words: string}[]}} Cell */
/** `right`: columns of numbers from this one on, `notes`: what all sides lack.
 * @typedef {{head: Cell[], rows: Cell[][], right?: boolean, wide?: boolean, notes?: string[]}} Sheet */

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["run", "s3", "s4", "s2", "s5"];
const DASHES = ["", "d1", "d2", "d3"];
/** Sides, the base aside, whose lines are unlike. */
export const STYLES = COLOURS.length * DASHES.length;

/** The classes of a side's line; the base is number 0. @param {number} side */
export function style(side) {
  if (!side) return "base";
  const at = side - 1;
  return `${COLOURS[at % 5]} ${DASHES[Math.floor(at / 5) % 4]}`.trim();
}

/** @param {string} tag @param {Record<string, string | number>} facts @param {(Node | string)[]} [inside] */
export function drawn(tag, facts, inside = []) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(facts)) node.setAttribute(name, String(value));
  node.append(...inside);
  return node;
}

/** A piece of a side's line. @param {number} side */
export function swatch(side) {
  return drawn("svg", { class: "rp-sw", viewBox: "0 0 24 6", preserveAspectRatio: "xMinYMid", "aria-hidden": "true" }, [drawn("path", { class: style(side), d: "M0 3H24" })]);
}

/** @param {NonNullable<Cell["ci"]>[number]} ci */
function interval({ swatch: side, low, high, span, words }) {
  const at = (/** @type {number} */ v) => `${(50 + (46 * v) / span).toFixed(2)}%`;
  const svg = drawn("svg", { class: "rp-ci", role: "img", "aria-label": words }, [
    drawn("line", { class: "z", x1: "50%", x2: "50%", y1: 0, y2: "100%" }),
    drawn("line", { x1: at(low), x2: at(high), y1: "50%", y2: "50%" }),
    drawn("circle", { cx: at((low + high) / 2), cy: "50%", r: 3 })]);
  return element("span", { className: "rp-ci-line", title: words }, [swatch(side), svg, element("small", { textContent: words })]);
}

/** @param {Cell} cell @returns {Node[]} */
function inside(cell) {
  /** @type {Node[]} */
  const out = [];
  if (cell.swatch !== undefined) out.push(swatch(cell.swatch), document.createTextNode(" "));
  if (cell.tone === "na") out.push(element("span", { className: "rp-na", textContent: cell.t ?? "" }));
  else if (cell.t) {
    const tag = cell.tone === "strong" || cell.tone === "diff" ? "b" : "span";
    const words = element(tag, { textContent: cell.t, className: cell.mono ? "rp-mono" : "" });
    out.push(cell.href ? element("a", { href: cell.href }, [words]) : words);
  }
  if (cell.delta) out.push(element("span", { className: `rp-delta rp-delta--${cell.delta.tone}`, textContent: cell.delta.t }));
  if (cell.s) out.push(element("small", { textContent: cell.s }));
  out.push(...(cell.ci ?? []).map(interval));
  return out;
}

/** @param {Sheet} sheet */
export function table({ head, rows, right = true, wide = false, notes = [] }) {
  const row = (/** @type {Node[]} */ cells) => { const tr = element("tr", {}, cells); tr.setAttribute("role", "row"); return tr; };
  const top = row(head.map((cell, i) => {
    const th = element("th", { scope: "col", className: right && i ? "n" : "" }, inside(cell));
    th.setAttribute("role", "columnheader");
    return th;
  }));
  const body = rows.map((cells) => row(cells.map((cell, i) => {
    const node = element(i ? "td" : "th", { className: `${right && i ? "n" : ""}${cell.tone === "diff" ? " rp-differs" : ""}`.trim() }, inside(cell));
    node.setAttribute("role", i ? "cell" : "rowheader");
    if (!i) /** @type {HTMLTableCellElement} */ (node).scope = "row";
    else node.dataset.l = head[i].t ?? "";
    return node;
  })));
  const made = element("table", { className: `rp-t rp-cmp${wide ? " rp-cmp--wide" : ""}` }, [element("thead", {}, [top]), element("tbody", {}, body)]);
  made.setAttribute("role", "table");
  made.querySelectorAll("thead, tbody").forEach((part) => part.setAttribute("role", "rowgroup"));
  const remark = notes.length ? [element("p", { className: "rp-quiet", textContent: notes.join("; ") })] : [];
  return element("div", {}, [...(rows.length ? [element("div", { className: "rp-scroll", tabIndex: 0 }, [made])] : []), ...remark]);
}

/** Text that Markdown shows as it is. @param {string} text */
export const escaped = (text) => text.replace(/\s+/g, " ").replace(/[\\`*_{}[\]<>()#+!|~&$-]/g, (c) => `\\${c}`);

/** @param {Cell} cell */
function words(cell) {
  const parts = [cell.tone === "na" ? `n/a ${cell.t ?? ""}`.trim() : cell.t ?? "", cell.delta?.t ?? "", cell.s ?? "", ...(cell.ci ?? []).map((c) => c.words)];
  return escaped(parts.filter(Boolean).join("; "));
}

/** @param {Sheet} sheet */
export function markdown({ head, rows, right = true, notes = [] }) {
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(" | ")} |`;
  const lines = rows.length ? [line(head.map(words)), line(head.map((_, i) => (right && i ? "---:" : "---"))), ...rows.map((cells) => line(cells.map(words)))] : [];
  return [lines.join("\n"), ...notes.map(escaped)].filter(Boolean).join("\n\n");
}
