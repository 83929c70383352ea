// What the address says of the table: filters, order, columns, ticked runs.
// @ts-check

import { DEFAULT } from "./rp-browse-columns.js";

/** `picked` are slugs.
 * @typedef {{filter: string, chosen: Map<string, Set<string>>, sort: string, falling: boolean, columns: string[], group: boolean, picked: string[]}} State */

export const FACETS = ["state", "verdict", "finding", "project", "model", "datasets", "author", "tags", "month", "flag"];
const SORT = "-start";

/** @param {string} search @returns {State} */
export function parsed(search) {
  const query = new URLSearchParams(search);
  const sort = query.get("sort") ?? SORT;
  return {
    filter: query.get("filter") ?? "", // "q" and "h" are Material's
    chosen: new Map(FACETS.map((id) => /** @type {[string, Set<string>]} */ ([id, new Set(query.getAll(id))])).filter(([, names]) => names.size)),
    sort: sort.replace(/^-/, ""),
    falling: sort.startsWith("-"),
    columns: query.get("cols")?.split(",").filter(Boolean).map(decodeURIComponentSafe) ?? DEFAULT,
    group: query.get("group") !== "0",
    picked: query.get("pick")?.split(",").filter((slug) => /^[a-z0-9-]{1,64}$/.test(slug)) ?? [],
  };
}

/** Names of columns may hold a comma, so each is encoded by itself. @param {string} name */
function decodeURIComponentSafe(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** @param {State} state */
export function written(state) {
  const query = new URLSearchParams();
  if (state.filter) query.set("filter", state.filter);
  for (const id of FACETS) for (const name of state.chosen.get(id) ?? []) query.append(id, name);
  const sort = `${state.falling ? "-" : ""}${state.sort}`;
  if (sort !== SORT) query.set("sort", sort);
  if (state.columns.join() !== DEFAULT.join()) query.set("cols", state.columns.map(encodeURIComponent).join(","));
  if (!state.group) query.set("group", "0");
  if (state.picked.length) query.set("pick", state.picked.join(","));
  return query.toString().replaceAll("%2C", ",");
}

/** The address without what this page keeps there, with the state. @param {State} state */
export function keep(state) {
  const url = new URL(location.href);
  url.search = written(state);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}
