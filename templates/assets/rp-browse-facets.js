// Lists of values to tick, each with the number of runs that it would show.
// @ts-check

import { element } from "./rp-browse-columns.js";
import { count } from "./rp-units.js";

/** @typedef {import("./rp-browse-rows.js").Facet} Facet */

/** Values of a list before "more"; lists of fixed words are whole. */
const SHOWN = 6;
const ALL = new Set(["state", "verdict", "finding", "flag"]);
const STYLE = new Map(Object.entries({ critical: "crit", warning: "warn", info: "info" }));

/** @param {HTMLElement} box @param {Facet[]} facets @param {Map<string, Uint32Array>} counts @param {Map<string, Set<string>>} chosen
 * @param {Set<string>} open ids of lists that show all @param {(id: string, name: string, on: boolean) => void} toggle */
export function drawFacets(box, facets, counts, chosen, open, toggle) {
  const focused = document.activeElement instanceof HTMLElement && box.contains(document.activeElement) ? document.activeElement.dataset.rpKey : undefined;
  const lists = facets.filter((f) => f.texts.length > 1 || chosen.get(f.id)?.size).map((facet) => {
    const tally = /** @type {Uint32Array} */ (counts.get(facet.id));
    const names = chosen.get(facet.id) ?? new Set();
    let order = facet.texts.map((_, code) => code);
    if (!ALL.has(facet.id) && facet.id !== "month") order.sort((a, b) => Number(facet.texts[a] === "n/a") - Number(facet.texts[b] === "n/a") || tally[b] - tally[a]);
    const whole = ALL.has(facet.id) || open.has(facet.id);
    const rest = whole ? [] : order.slice(SHOWN).filter((code) => !names.has(facet.texts[code]));
    order = whole ? order : order.filter((code) => !rest.includes(code));
    const list = element("fieldset", "", element("legend", "", facet.label), ...order.map((code) => value(facet, code, tally[code], names, toggle)));
    if (rest.length || (open.has(facet.id) && !ALL.has(facet.id) && facet.texts.length > SHOWN)) {
      const more = element("button", "rp-link", rest.length ? `${count(rest.length)} more` : "fewer");
      more.setAttribute("type", "button");
      more.dataset.rpKey = `${facet.id} more`;
      more.addEventListener("click", () => {
        if (rest.length) open.add(facet.id);
        else open.delete(facet.id);
        drawFacets(box, facets, counts, chosen, open, toggle);
      });
      list.append(more);
    }
    return list;
  });
  box.replaceChildren(...lists);
  if (focused) [...box.querySelectorAll("[data-rp-key]")].filter((e) => e instanceof HTMLElement && e.dataset.rpKey === focused)
    .forEach((e) => /** @type {HTMLElement} */ (e).focus({ preventScroll: true }));
}

/** @param {Facet} facet @param {number} code @param {number} number @param {Set<string>} names @param {(id: string, name: string, on: boolean) => void} toggle */
function value(facet, code, number, names, toggle) {
  const name = facet.texts[code];
  const tick = document.createElement("input");
  tick.type = "checkbox";
  tick.checked = names.has(name);
  tick.dataset.rpKey = `${facet.id} ${name}`;
  tick.addEventListener("change", () => toggle(facet.id, name, tick.checked));
  const style = facet.id === "finding" ? STYLE.get(name) : undefined;
  const words = style ? element("span", `rp-chip rp-chip--${style}`, element("i", "rp-i"), name) : element("span", "rp-facet__w", name);
  words.title = name;
  return element("label", number || tick.checked ? "" : "zero", tick, words, element("span", "rp-facet__n", count(number)));
}
