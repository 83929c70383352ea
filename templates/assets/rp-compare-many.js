// Many runs: which settings go with which results, as parallel coordinates and as a scatter plot.
// @ts-check
import { known } from "./rp-compare-judge.js";
import { metricLines } from "./rp-compare-tables.js";
import { told } from "./rp-compare-facts.js";
import { tick } from "./rp-compare-chart.js";
import { drawn } from "./rp-compare-sheet.js";
import { element } from "./rp-tools.js";
import { number } from "./rp-units.js";

/** @typedef {import("./rp-compare-data.js").Side} Side */
/** One value of each side: `at` is null where there is none.
 * @typedef {{label: string, at: (number | null)[], words: string[], ends: [string, string], log: boolean, down?: boolean}} Scale */

export const MANY = 5;
const MOST_AXES = 7;
const MOST_NAMES = 8;

/** @param {string} label @param {(number | null)[]} values @returns {Scale | null} */
function numeric(label, values) {
  const found = /** @type {number[]} */ (values.filter((v) => v !== null && Number.isFinite(v)));
  const [low, high] = [Math.min(...found), Math.max(...found)];
  if (found.length < 3 || low === high) return null;
  const log = low > 0 && high / low > 30;
  const to = (/** @type {number} */ v) => (log ? Math.log(v) : v);
  return { label, log, at: values.map((v) => (v === null || !Number.isFinite(v) ? null : (to(v) - to(low)) / (to(high) - to(low)))),
    words: values.map((v) => (v === null ? "n/a" : number(v))), ends: [tick(low), tick(high)] };
}

/** Names in their order, where there are few. @param {string} label @param {any[][]} values @returns {Scale | null} */
function named(label, values) {
  const words = values.map((v) => v.map((one) => told(one)).join(", "));
  const names = [...new Set(words.filter(Boolean))].sort();
  if (names.length < 2 || names.length > MOST_NAMES) return null;
  return { label, log: false, at: words.map((w) => (w ? names.indexOf(w) / (names.length - 1) : null)), words: words.map((w) => w || "n/a"), ends: [names[0], names[names.length - 1]] };
}

/** @param {any[]} differences @param {Side[]} sides @param {any} rules */
function settings(differences, sides, rules) {
  const seed = new RegExp(`^(?:${rules.seed})$`, "i");
  return differences.filter((d) => d.key.startsWith("config.") || d.key.startsWith("model.")).flatMap((d) => {
    const last = d.key.slice(d.key.lastIndexOf(".") + 1);
    if (seed.test(last) || rules.outputs.includes(last.toLowerCase())) return [];
    const values = sides.map((s) => d.values[s.slug]);
    const numbers = values.map((v) => (v.length === 1 && typeof v[0] !== "boolean" && v[0] !== "" && Number.isFinite(Number(v[0])) && v[0] !== null ? Number(v[0]) : null));
    const label = d.key.replace(/^config\./, "");
    const every = values.every((v, i) => !v.length || numbers[i] !== null);
    const scale = every ? numeric(label, numbers) : named(label, values);
    return scale ? [scale] : [];
  });
}

/** @param {any} comparison @param {Side[]} sides */
function results(comparison, sides) {
  return metricLines(comparison, () => true).flatMap((line) => {
    const values = sides.map((s) => { const v = line.values[s.slug]?.value; return known(v) ? v : null; });
    const scale = numeric(line.label + line.arrow, values);
    return scale ? [{ ...scale, down: line.direction === "lower" }] : [];
  });
}

/** Blue is best, the mark's amber worst; the axis says the value itself. @param {SVGElement} node @param {Scale} result @param {number} i */
function coloured(node, result, i) {
  const at = result.at[i];
  const good = at === null ? 0.5 : result.down ? 1 - at : at;
  node.style.setProperty("--rp-share", `${Math.round(100 * good)}%`);
}

/** @param {Scale[]} axes the result last @param {Side[]} sides @param {HTMLElement} said */
function parallel(axes, sides, said) {
  const x = (/** @type {number} */ i) => (1000 * i) / (axes.length - 1);
  const result = axes[axes.length - 1];
  const lines = sides.map((side, i) => {
    let d = "";
    let pen = "M";
    axes.forEach((axis, j) => { const at = axis.at[i]; if (at === null) { pen = "M"; return; } d += `${pen}${x(j)} ${(1000 - 1000 * at).toFixed(0)}`; pen = "L"; });
    const path = drawn("path", { class: "rp-par", d });
    coloured(path, result, i);
    path.addEventListener("pointerenter", () => { path.classList.add("on"); said.textContent = `${side.name}: ${axes.map((a) => `${a.label} ${a.words[i]}`).join(", ")}`; });
    path.addEventListener("pointerleave", () => path.classList.remove("on"));
    return path;
  });
  const marks = axes.flatMap((axis, j) => {
    const at = `${(x(j) / 10).toFixed(2)}%`;
    const anchor = j === 0 ? "start" : j === axes.length - 1 ? "end" : "middle";
    const words = axis.label.length > 22 ? `…${axis.label.slice(-21)}` : axis.label;
    return [drawn("line", { class: "axis", x1: at, x2: at, y1: 0, y2: "100%" }), drawn("text", { x: at, y: -20, "text-anchor": anchor, class: j === axes.length - 1 ? "rp-result" : "ev" }, [words]),
      drawn("text", { x: at, y: -6, "text-anchor": anchor }, [axis.ends[1]]), drawn("text", { x: at, y: "100%", dy: "1.3em", "text-anchor": anchor }, [axis.ends[0]])];
  });
  const svg = drawn("svg", { role: "img", class: "rp-svg", "aria-label": `${sides.length} runs over ${axes.map((a) => a.label).join(", ")}` }, [...marks,
    drawn("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", width: "100%", height: "100%" }, lines)]);
  return element("div", { className: "rp-plot rp-parallel" }, [svg]);
}

/** @param {Scale} across @param {Scale} up @param {Side[]} sides @param {HTMLElement} said */
function scatter(across, up, sides, said) {
  const both = sides.map((_, i) => i).filter((i) => across.at[i] !== null && up.at[i] !== null);
  const place = (/** @type {number} */ v) => `${(4 + 92 * v).toFixed(2)}%`;
  const dots = both.flatMap((i) => {
    const [x, y] = [place(/** @type {number} */ (across.at[i])), place(1 - /** @type {number} */ (up.at[i]))];
    const dot = drawn("circle", { cx: x, cy: y, r: 4.5, class: "rp-dot" }, [drawn("title", {}, [`${sides[i].name}: ${across.words[i]}, ${up.words[i]}`])]);
    coloured(dot, up, i);
    dot.addEventListener("pointerenter", () => { said.textContent = `${sides[i].name}: ${across.label} ${across.words[i]}, ${up.label} ${up.words[i]}`; });
    return [dot];
  });
  const left = sides.length - both.length;
  const svg = drawn("svg", { role: "img", class: "rp-svg", "aria-label": `${up.label} over ${across.label} of ${both.length} runs` }, [
    drawn("line", { class: "axis", x1: 0, x2: "100%", y1: "100%", y2: "100%" }), drawn("line", { class: "axis", x1: 0, x2: 0, y1: 0, y2: "100%" }),
    drawn("text", { x: place(0), y: "100%", dy: "1.3em", "text-anchor": "middle" }, [across.ends[0]]), drawn("text", { x: place(1), y: "100%", dy: "1.3em", "text-anchor": "middle" }, [across.ends[1]]),
    drawn("text", { x: -8, y: place(0), dy: ".35em", "text-anchor": "end" }, [up.ends[1]]), drawn("text", { x: -8, y: place(1), dy: ".35em", "text-anchor": "end" }, [up.ends[0]]), ...dots]);
  return [element("div", { className: "rp-plot" }, [svg]), element("p", { className: "rp-quiet", textContent: `${both.length} runs${left ? `, ${left} without both values` : ""}${across.log ? "; x on a log scale" : ""}${up.log ? "; y on a log scale" : ""}` })];
}

/** @param {string} label @param {Scale[]} scales @param {() => void} chosen */
function select(label, scales, chosen) {
  const made = element("select", { className: "rp-pick", onchange: chosen }, scales.map((s, i) => element("option", { value: String(i), textContent: s.label })));
  made.setAttribute("aria-label", label);
  return made;
}

/** null where there are too few runs, or no setting differs. @param {any} comparison @param {Side[]} sides @param {any} rules */
export function many(comparison, sides, rules) {
  if (sides.length < MANY) return null;
  const [across, up] = [settings(comparison.differences, sides, rules), results(comparison, sides)];
  if (!across.length || !up.length) return null;
  const said = element("p", { className: "rp-quiet rp-said", textContent: "Point at a line or a dot to read its run." });
  const place = element("div");
  const dots = element("div");
  const draw = () => {
    const result = up[Number(second.value)];
    place.replaceChildren(parallel([...across.slice(0, MOST_AXES), result], sides, said));
    dots.replaceChildren(...scatter(across[Number(first.value)], result, sides, said));
  };
  const [first, second] = [select("Setting", across, draw), select("Result", up, draw)];
  draw();
  const left = across.length > MOST_AXES ? ` The first ${MOST_AXES} of ${across.length} differing settings.` : "";
  return element("div", {}, [
    element("p", { className: "rp-lede", textContent: `What goes together need not cause: settings may have been changed together. Blue ends best, amber worst.${left}` }),
    element("p", { className: "rp-cmp-tools" }, ["result ", second]), place,
    element("p", { className: "rp-cmp-tools" }, ["over ", first]), dots, said]);
}
