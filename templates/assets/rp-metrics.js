// The index of the metrics that have no chart on the page: filtered by name, drawn when chosen.
// @ts-check
import { element } from "./rp-tools.js";
import { CHARTS, stored } from "./rp-files.js";

/** @typedef {import("./rp-charts.js").Charts} Charts */
/** @typedef {[string, number, number, string]} Entry title, points, number of the file, chart */

const MOST = 60; // names on screen at once; the filter finds the others

/** @param {HTMLDetailsElement} place @param {Charts} page */
export async function start(place, page) {
  const grid = element("div", { className: "rp-charts rp-opened" });
  /** @type {Map<string, HTMLElement>} */
  const opened = new Map();

  /** @param {string} id */
  function close(id) {
    const figure = opened.get(id);
    if (!figure) return;
    page.restore(figure);
    figure.remove();
    opened.delete(id);
  }

  /** @param {Entry} entry */
  async function open([title, , pack, id]) {
    if (opened.has(id)) return;
    const source = new URL(`metrics-${String(pack).padStart(2, "0")}.json`, page.source).href;
    const figure = element("figure", { className: "rp-chart", tabIndex: 0 });
    Object.assign(figure.dataset, { rpSrc: source, rpChart: id });
    opened.set(id, figure);
    grid.append(figure);
    if (pack >= page.file.light_packs && !(await page.kept())) {
      figure.append(element("figcaption", {}, [element("b", { textContent: title }), " its curve is kept of the site's newest runs only",
        element("span", { className: "rp-key" }, [element("button", { type: "button", textContent: "Close", onclick: () => { close(id); tell(); } })])]));
      return;
    }
    const file = await stored(source, CHARTS);
    const chart = file.charts.find((/** @type {any} */ c) => c.id === id);
    if (!chart || opened.get(id) !== figure) return close(id);
    const key = chart.legend.map((/** @type {string[]} */ [style, label]) => element("span", {}, [element("i", { className: style }), label]));
    const shut = element("button", { type: "button", textContent: "Close", onclick: () => { close(id); tell(); } });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "rp-svg");
    svg.setAttribute("aria-label", chart.title);
    figure.append(
      element("figcaption", {}, [element("b", { textContent: chart.title }), ` ${chart.unit} `, element("span", { className: "rp-quiet rp-over" }), element("span", { className: "rp-quiet", textContent: chart.caption }),
        element("span", { className: "rp-key" }, [...key, shut])]),
      element("div", { className: "rp-plot" }, [svg]));
    await page.upgrade(figure);
  }

  const tell = () => page.change({ m: [...opened.keys()] });

  const { more } = /** @type {{more: Entry[]}} */ (await page.main());
  if (page.signal.aborted) return;
  const filter = element("input", { type: "search", placeholder: "filter by name", oninput: () => list() });
  filter.setAttribute("aria-label", "Filter the further metrics by name");
  const names = element("ul", { className: "rp-names" });
  const rest = element("p", { className: "rp-quiet" });
  rest.setAttribute("role", "status");

  function list() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = more.filter(([title]) => words.every((word) => title.toLowerCase().includes(word)));
    names.replaceChildren(...found.slice(0, MOST).map((entry) => element("li", {}, [
      element("button", { type: "button", textContent: entry[0], onclick: async () => { await open(entry); tell(); opened.get(entry[3])?.scrollIntoView({ block: "nearest" }); } }),
      element("small", { textContent: ` ${entry[1].toLocaleString("en")}` }),
    ])));
    rest.textContent = found.length > MOST ? `${found.length - MOST} more: filter by name` : found.length ? "" : "no metric of this name";
  }

  place.querySelector("p")?.replaceWith(element("div", {}, [filter, names, rest]));
  place.after(grid);
  list();
  const wanted = more.filter(([, , , id]) => page.view.m.includes(id));
  if (wanted.length) place.open = true;
  await Promise.all(wanted.map(open));
}
