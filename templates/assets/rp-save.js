// A chart as a file: what is drawn, as a table or as a picture.
// @ts-check
import { drawing, fullOf } from "./rp-draw.js";
import { plotly } from "./rp-library.js";
import { escaped, plain } from "./rp-text.js";

/** @typedef {import("./rp-draw.js").Chart} Chart */
/** @typedef {import("./rp-axes.js").Axes} Axes */

const KINDS = /** @type {Record<string, string>} */ ({ c: "curve", o: "superseded", p: "baseline", b: "band" });

/** No spreadsheet may take a name for a formula. @param {unknown} value */
function cell(value) {
  const text = value == null ? "" : String(value);
  const guarded = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

/** The rows in the window. `min` and `max` are those of the rows that one line of the table stands for.
 * @param {Chart} chart @param {Axes} axes */
function table(chart, axes) {
  const { entry, traces, shown } = chart;
  const steps = entry.axis === "step";
  const rows = [["metric", "line", steps ? "step" : entry.axis === "time" ? "elapsed_seconds" : "x", ...(steps ? ["elapsed_seconds"] : []), "value", "min", "max"]];
  for (const trace of traces) {
    if (trace.meta === "bad" || trace.fill) continue;
    trace.x.forEach((x, i) => {
      if (trace.y[i] == null) return;
      const at = steps ? x : entry.axis === "time" ? x * entry.unit_seconds + entry.offset : x;
      const seconds = trace.t?.[i] ?? axes.fromStep(x, "elapsed", trace.meta === "base");
      rows.push(/** @type {any} */ ([plain(trace.name), KINDS[trace.key[0]] ?? "", Number(at.toPrecision(12)),
        ...(steps ? [Number.isFinite(seconds) ? Number(seconds.toFixed(2)) : null] : []), trace.y[i], trace.lo?.[i], trace.hi?.[i]]));
    });
  }
  return { text: `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`, shown };
}

/** @param {Blob} blob @param {string} name */
function offer(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** @param {Chart} chart @param {string} kind CSV, PNG or SVG @param {string} slug @param {Axes} axes @param {import("./rp-view.js").View} view */
export async function save(chart, kind, slug, axes, view) {
  const reduced = chart.traces.some((t) => t.lo) ? "-reduced" : "";
  const name = `${slug}-${chart.entry.id}`;
  if (kind === "CSV") {
    offer(new Blob([table(chart, axes).text], { type: "text/csv" }), `${name}${reduced}.csv`);
    return;
  }
  const Plotly = await plotly();
  const { data, layout } = drawing(chart, view, axes, fullOf(chart, axes, view.ax), chart.shown);
  const page = getComputedStyle(chart.plot);
  const title = chart.figure.querySelector("figcaption b")?.textContent ?? "";
  Object.assign(layout, { paper_bgcolor: page.getPropertyValue("--rp-bg").trim(), showlegend: true,
    title: { text: escaped(title), x: 0.01, font: { size: 15, color: page.color } },
    legend: { orientation: "h", y: -0.18 }, margin: { l: 64, r: 20, t: 56, b: 70 } });
  await Plotly.downloadImage({ data, layout }, { format: kind.toLowerCase(), filename: name, width: 1000, height: 460, scale: 2 });
}
