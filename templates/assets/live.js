// @ts-check
/**
 * The live side of a chart: loaded by rp.js when a reader touches the first one.
 *
 * What a chart shows comes from charts.json; how it looks comes from the drawing (the inline SVG)
 * that it covers: colours, strokes and sizes are those that the browser computed for its elements.
 */

/** @typedef {[number, number]} Range */
/** @typedef {Record<string, any>} Spec a chart of charts.json: id, layout, data */

export const CONFIG = {
  displaylogo: false,
  doubleClick: false,
  responsive: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
};
const CLEAR = "rgba(0,0,0,0)";

/** @type {Promise<any> | null} */
let library = null;

/** Plotly, loaded once; a failed attempt may be repeated. @param {string} bundle */
export function plotly(bundle) {
  library ??= new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = bundle;
    tag.onload = () => resolve(/** @type {any} */ (window).Plotly);
    tag.onerror = () => {
      library = null;
      tag.remove();
      reject(new Error("the chart library did not load"));
    };
    document.head.append(tag);
  });
  return library;
}

/** @type {Map<string, Promise<Map<string, Spec>>>} */
const files = new Map();

/** The charts of a charts.json by id. @param {string} url */
export function charts(url) {
  let file = files.get(url);
  if (!file) {
    file = fetch(url)
      .then((answer) => {
        if (!answer.ok) throw new Error(`the data did not load (${answer.status})`);
        return answer.json();
      })
      .then((json) => new Map(json.charts.map((/** @type {Spec} */ c) => [c.id, unpacked(c)])));
    file.catch(() => files.delete(url));
    files.set(url, file);
  }
  return file;
}

/** x is stored as a first value and differences. @param {Spec} chart */
function unpacked(chart) {
  for (const trace of chart.data) {
    let at = trace.x0;
    trace.x = [at, ...trace.dx.map((/** @type {number} */ d) => (at += d))];
    delete trace.x0;
    delete trace.dx;
  }
  return chart;
}

/**
 * Data and layout for Plotly, to cover `svg` inside `plot`; `zoom` is a range of x or null.
 *
 * @param {Spec} spec @param {SVGSVGElement} svg @param {HTMLElement} plot @param {Range | null} zoom
 */
export function figure(spec, svg, plot, zoom) {
  const x = zoom ?? spec.layout.xaxis.range;
  return {
    data: spec.data.map((/** @type {any} */ trace) => drawn(trace, svg)),
    layout: { ...spec.layout, ...place(svg, plot), ...marks(spec, svg), ...axes(spec, svg, x, zoom) },
  };
}

/** What the browser computed for an element of the drawing. @param {Element} svg @param {string} selector */
function look(svg, selector) {
  const style = getComputedStyle(svg.querySelector(selector) ?? svg);
  return {
    stroke: style.stroke,
    width: parseFloat(style.strokeWidth) || 1,
    dash: style.strokeDasharray === "none" ? "solid" : style.strokeDasharray.replace(/ /g, ""),
    fill: style.fill,
    opacity: Number(style.opacity),
    font: { color: style.fill, size: parseFloat(style.fontSize), family: style.fontFamily },
  };
}

/** @param {Record<string, any>} trace as stored @param {Element} svg */
function drawn(trace, svg) {
  if (trace.meta === "bad") {
    const { stroke, width } = look(svg, "line.bad");
    const marker = { symbol: "line-ns", size: 14, color: stroke, line: { color: stroke, width } };
    return { type: "scatter", ...trace, y: trace.y.map(() => 0.04), marker, hovertemplate: "%{text}<extra></extra>" };
  }
  const dot = trace.mode === "markers";
  const name = `path${dot ? ".dot" : ""}.${trace.meta.replace(/ /g, ".")}`;
  const { stroke, width, dash, fill, opacity } = look(svg, name);
  const made = { type: "scatter", ...trace, opacity, connectgaps: false };
  if (trace.fill) return { ...made, fillcolor: fill, line: { width: 0 } };
  if (dot) return { ...made, marker: { color: stroke, size: width } };
  return { ...made, line: { color: stroke, width, dash } };
}

/** Frame, fonts and behaviour. @param {Element} svg @param {Element} plot */
function place(svg, plot) {
  const [box, frame] = [plot.getBoundingClientRect(), svg.getBoundingClientRect()];
  const { font } = look(svg, "text");
  const page = getComputedStyle(plot);
  const ink = page.getPropertyValue("--rp-ink").trim() || page.color;
  const paper = page.getPropertyValue("--rp-bg").trim() || "#ffffff";
  const edge = look(svg, "line.axis").stroke;
  return {
    width: box.width,
    height: box.height,
    margin: {
      l: frame.left - box.left,
      r: box.right - frame.right,
      t: frame.top - box.top,
      b: box.bottom - frame.bottom,
    },
    paper_bgcolor: CLEAR,
    plot_bgcolor: CLEAR,
    font,
    showlegend: false,
    // a finger scrolls the page
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    hoverlabel: { bgcolor: paper, bordercolor: edge, font: { ...font, color: ink } },
    modebar: { bgcolor: CLEAR, color: font.color, activecolor: ink },
  };
}

/** Bands and their words. @param {Spec} spec @param {Element} svg */
function marks({ layout }, svg) {
  const { font } = look(svg, "text.ev");
  return {
    shapes: (layout.shapes ?? []).map((/** @type {any} */ shape) => {
      const { fill, opacity } = look(svg, `rect.ev.${shape.name}`);
      return { ...shape, fillcolor: fill, opacity, line: { color: fill, width: 2 } };
    }),
    annotations: (layout.annotations ?? []).map((/** @type {any} */ note) => ({ ...note, font })),
  };
}

/** @param {Spec} spec @param {Element} svg @param {Range} x @param {Range | null} zoom */
function axes(spec, svg, x, zoom) {
  const { xaxis, yaxis } = spec.layout;
  const range = zoom ? heights(spec, zoom) : yaxis.range;
  const width = svg.getBoundingClientRect().width;
  const decades = range[1] - range[0];
  // powers of ten only, and not too many, where a log axis spans several
  const dtick = yaxis.type === "log" && decades >= 2 ? Math.ceil(decades / 5) : undefined;
  return {
    xaxis: {
      ...xaxis,
      range: x,
      title: undefined,
      showgrid: false,
      zeroline: false,
      showline: true,
      linecolor: look(svg, "line.axis").stroke,
      nticks: Math.max(3, Math.round(width / 90)),
    },
    yaxis: {
      ...yaxis,
      range,
      dtick,
      gridcolor: look(svg, "line.grid").stroke,
      zeroline: false,
      fixedrange: true,
      nticks: 6,
    },
  };
}

/** The range of y that the points of the range of x fill. @param {Spec} spec @param {Range} zoom */
function heights({ data, layout }, [first, last]) {
  const log = layout.yaxis.type === "log";
  let [low, high] = [Infinity, -Infinity];
  for (const { x, y, meta } of data) {
    for (let i = 0; meta !== "bad" && i < x.length; i++) {
      if (x[i] < first || x[i] > last || y[i] === null || (log && y[i] <= 0)) continue;
      low = Math.min(low, y[i]);
      high = Math.max(high, y[i]);
    }
  }
  if (low > high) return layout.yaxis.range;
  if (log) [low, high] = [Math.log10(low), Math.log10(high)];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}
