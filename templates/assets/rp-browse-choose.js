// The column chooser: standing columns, and every setting and metric of keys.json.
// @ts-check

import { element, labelOf } from "./rp-browse-columns.js";
import { KINDS } from "./rp-browse-data.js";
import { count } from "./rp-units.js";

/** @typedef {import("./rp-browse-data.js").Runs} Runs */

const STANDING = ["verdict", "curve", "value", "findings", "steps", "elapsed_seconds", "start", "project", "group", "model", "datasets", "tags",
  "author", "seed", "device_hours", "usd", "goodput", "regression", "metric", "commit", "source"];
const LISTED = 40;

/** Fills the dialog. @param {HTMLElement} box @param {Runs} runs @param {string[]} columns shown now @param {(id: string, on: boolean) => void} toggle */
export function drawChooser(box, runs, columns, toggle) {
  const found = document.createElement("div");
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Setting or metric";
  search.setAttribute("aria-label", "Find a setting or metric");
  search.addEventListener("input", () => { void list(search.value.toLowerCase()); });
  const tick = (/** @type {string} */ id, /** @type {string} */ words, /** @type {string} */ note) => {
    const input = document.createElement("input");
    input.type = "checkbox";
    input.checked = columns.includes(id);
    input.addEventListener("change", () => {
      columns = input.checked ? [...columns, id] : columns.filter((one) => one !== id);
      toggle(id, input.checked);
    });
    return element("label", "", input, element("span", "rp-facet__w", words), element("span", "rp-facet__n", note));
  };
  const list = async (/** @type {string} */ wanted) => {
    const keys = await runs.keys().catch(() => undefined);
    if (!keys) return found.replaceChildren(element("p", "rp-quiet", "The list of settings and metrics could not be loaded."));
    const fitting = keys.filter((key) => key.name.toLowerCase().includes(wanted));
    const chosen = (/** @type {import("./rp-browse-data.js").Key} */ key) => columns.includes(`${key.kind}:${key.name}`);
    fitting.sort((a, b) => Number(chosen(b)) - Number(chosen(a)) || b.runs - a.runs);
    const more = fitting.length - LISTED;
    found.replaceChildren(...fitting.slice(0, LISTED).map((key) => tick(`${key.kind}:${key.name}`, key.name, `${KINDS[key.kind]}, ${count(key.runs)}`)),
      ...(more > 0 ? [element("p", "rp-quiet", `${count(more)} more: type a part of the name`)] : []),
      ...(fitting.length ? [] : [element("p", "rp-quiet", "No setting or metric has that in its name.")]));
  };
  box.replaceChildren(element("div", "rp-choose__l", ...STANDING.map((id) => tick(id, labelOf(id === "curve" ? "Loss curve" : id), ""))), search, found);
  void list("");
}
