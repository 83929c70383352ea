// The table of all runs on the browse page: puts its parts together and keeps the state in the address.
// @ts-check

import { drawChooser } from "./rp-browse-choose.js";
import { element, shown } from "./rp-browse-columns.js";
import { csv, save } from "./rp-browse-csv.js";
import { Runs } from "./rp-browse-data.js";
import { drawFacets } from "./rp-browse-facets.js";
import { columnOf, conditions } from "./rp-browse-query.js";
import { facetsOf, grouped, matches, select, sort } from "./rp-browse-rows.js";
import { keep, parsed } from "./rp-browse-state.js";
import { Table } from "./rp-browse-table.js";
import { look } from "./rp-look.js";
import { count } from "./rp-units.js";

/** @typedef {import("./rp-browse-query.js").Condition} Condition */
/** @typedef {import("./rp-browse-rows.js").Facet} Facet */

/** Milliseconds without a key before the filter line is read. */
const PAUSE = 120;
/** Runs that one comparison page still shows well; more can be ticked, and it says so. */
const MOST = 12;

class Browse {
  /** @param {HTMLElement} root @param {Runs} runs @param {AbortSignal} signal */
  constructor(root, runs, signal) {
    this.root = root;
    this.runs = runs;
    this.state = parsed(location.search);
    this.facets = facetsOf(runs, runs.regressionLimit);
    /** @type {Condition[]} */
    this.conditions = [];
    /** @type {Set<string>} */
    this.open = new Set();
    /** @type {Set<string>} */
    this.openFacets = new Set();
    /** @type {Int32Array} */
    this.rows = new Int32Array(0);
    this.turn = 0;
    this.table = new Table(runs, new URL("../", document.baseURI).href, {
      sort: (column) => this.sortBy(column),
      pick: (rows, on) => this.pick(rows, on),
      fold: (group) => this.fold(group),
    });
    const slugs = new Map(Array.from({ length: runs.count }, (_, row) => [runs.column("slug").text(row), row]));
    this.state.picked.forEach((slug) => { const row = slugs.get(slug); if (row !== undefined) this.table.picked.add(row); });
    this.build(signal);
  }

  /** @param {AbortSignal} signal */
  build(signal) {
    this.input = document.createElement("input");
    this.input.type = "search";
    this.input.placeholder = "Filter: words, lr>3e-4, val_loss<3.1, project:name";
    this.input.setAttribute("aria-label", "Filter runs");
    this.input.setAttribute("autocomplete", "off");
    this.input.spellcheck = false;
    this.input.value = this.state.filter;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    this.input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => { this.state.filter = this.input?.value.trim() ?? ""; void this.refresh(); }, PAUSE);
    });
    this.input.addEventListener("keydown", (event) => {
      event.stopPropagation(); // letters are no shortcuts here
      if (event.key === "ArrowDown") this.table.box.focus();
    });
    this.chooser = element("div", "rp-choose");
    this.chooser.hidden = true;
    const columns = button("Columns", () => {
      const chooser = /** @type {HTMLElement} */ (this.chooser);
      chooser.hidden = !chooser.hidden;
      columns.setAttribute("aria-expanded", String(!chooser.hidden));
      if (!chooser.hidden) drawChooser(chooser, this.runs, this.state.columns, (id, on) => { void this.column(id, on); });
    });
    columns.setAttribute("aria-expanded", "false");
    this.filters = button("Filters", () => {
      this.root.classList.toggle("rp-grid--facets");
      this.filters?.setAttribute("aria-expanded", String(this.root.classList.contains("rp-grid--facets")));
    });
    this.filters.classList.add("rp-grid__filters");
    this.filters.setAttribute("aria-expanded", "false");
    const bar = element("div", "rp-q", this.input, this.filters, columns, button("CSV", () => this.export()));
    this.status = element("div", "rp-active");
    this.status.setAttribute("role", "status");
    this.selection = element("div", "rp-sel");
    this.facetBox = element("div", "rp-facets");
    this.empty = element("div", "rp-empty");
    const main = element("div", "rp-grid__main", this.selection, this.table.box, this.empty);
    this.root.replaceChildren(bar, this.chooser, this.status, element("div", "rp-browse", this.facetBox, main));
    document.addEventListener("click", (event) => this.view(event), { signal, capture: true });
    addEventListener("resize", () => this.table.redraw(), { signal });
    addEventListener("beforeprint", () => { this.root.hidden = true; this.fallback(false); }, { signal });
    addEventListener("afterprint", () => { this.root.hidden = false; this.fallback(true); this.table.redraw(); }, { signal });
  }

  /** The table that the page itself holds, for print. @param {boolean} hide */
  fallback(hide) {
    document.querySelectorAll(".rp-newest").forEach((node) => { /** @type {HTMLElement} */ (node).hidden = hide; });
  }

  /** Links of the page that are views of this table. @param {MouseEvent} event */
  view(event) {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a[data-rp-view]") : null;
    if (!(link instanceof HTMLAnchorElement)) return;
    event.preventDefault();
    event.stopPropagation();
    this.adopt(link.search);
  }

  /** @param {string} search */
  adopt(search) {
    const { picked, columns } = this.state;
    this.state = { ...parsed(search), picked, columns };
    if (this.input) this.input.value = this.state.filter;
    void this.refresh();
  }

  /** Reads the filter line, fetching what it names, then shows. The newest call wins. */
  async refresh() {
    const turn = ++this.turn;
    let found;
    try {
      found = await conditions(this.runs, this.state.filter);
      await Promise.all(this.state.columns.filter((id) => /^\w+:/.test(id)).map((id) => columnOf(this.runs, id)));
    } catch (error) {
      if (turn !== this.turn || this.runs.signal.aborted) return;
      this.note("A column could not be loaded; the filter was not applied.");
      return;
    }
    if (turn !== this.turn) return;
    this.conditions = found;
    this.apply();
  }

  /** Filters and shows. */
  apply() {
    const { rows, counts } = select(this.runs, this.conditions, this.facets, this.state.chosen);
    this.rows = rows;
    drawFacets(/** @type {HTMLElement} */ (this.facetBox), this.facets, counts, this.state.chosen, this.openFacets, (id, name, on) => this.facet(id, name, on));
    this.arrange();
  }

  /** Sorts, groups and draws what the filters have left. */
  arrange() {
    const { runs, state } = this;
    const columns = state.columns.filter((id) => ["curve", "findings"].includes(id) || runs.columns.has(id)).map((id) => shown(runs, id));
    const column = columns.find((c) => c.id === state.sort)?.sort ?? runs.columns.get(state.sort) ?? runs.column("start");
    const sorted = { column, falling: state.falling };
    sort(this.rows, column, state.falling);
    const items = state.group ? grouped(runs, this.rows, this.open, sorted) : [...this.rows].map((row) => ({ row }));
    const none = !items.length;
    this.table.box.hidden = none;
    /** @type {HTMLElement} */ (this.empty).hidden = !none;
    if (none) this.nothing();
    else this.table.show(items, columns, { id: state.sort, falling: state.falling });
    this.tell();
    this.chosen();
    keep(state);
  }

  /** The line above the table. */
  tell() {
    const all = this.rows.length === this.runs.count;
    const words = `${all ? count(this.runs.count) : `${count(this.rows.length)} of ${count(this.runs.count)}`} runs`;
    const parts = [element("span", "", this.runs.seedSets.length && this.state.group ? `${words}, seed sets grouped` : words)];
    for (const condition of this.conditions.filter((c) => c.problem)) parts.push(element("span", "rp-warned", condition.problem));
    if (this.runs.seedSets.length) {
      parts.push(link(this.state.group ? "ungroup" : "group seed sets", () => { this.state.group = !this.state.group; this.arrange(); }));
    }
    if (this.filtered()) parts.push(link("clear all", () => this.adopt("")));
    parts.push(link("copy link", () => { void this.copy(); }));
    for (const { source, column } of this.conditions) if (column?.from) parts.push(element("span", "rp-quiet", this.reads(source, column)));
    this.status?.replaceChildren(...parts);
    const number = [...this.state.chosen.values()].reduce((sum, names) => sum + names.size, 0);
    if (this.filters) this.filters.textContent = number ? `Filters ${number}` : "Filters";
  }

  /** Which settings or metrics a range reads, and how many runs have them. @param {string} source @param {import("./rp-browse-data.js").Column} column */
  reads(source, column) {
    let n = 0;
    for (let row = 0; row < this.runs.count; row++) if (!column.missing(row)) n++;
    return `${source} reads ${column.from?.join(", ")} (${count(n)} runs have it)`;
  }

  filtered() {
    return Boolean(this.state.filter || this.state.chosen.size);
  }

  /** @param {string} words */
  note(words) {
    this.status?.append(element("span", "rp-warned", words));
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      this.note("copied");
    } catch {
      this.note("the address line holds the link");
    }
  }

  /** Which condition to drop, and what that would give. */
  nothing() {
    const { runs, facets, state } = this;
    /** @type {{words: string, left: number, drop: () => void}[]} */
    const ways = this.conditions.map((condition, i) => ({
      words: condition.source, left: matches(runs, this.conditions.filter((_, other) => other !== i), facets, state.chosen),
      drop: () => { state.filter = this.conditions.filter((_, other) => other !== i).map((c) => c.source).join(" "); } }));
    for (const [id, names] of state.chosen) {
      const others = new Map([...state.chosen].filter(([other]) => other !== id));
      ways.push({ words: `${id}: ${[...names].join(" or ")}`, left: matches(runs, this.conditions, facets, others), drop: () => { state.chosen = others; } });
    }
    const rows = Array.from({ length: runs.count }, (_, row) => row);
    const lacking = this.conditions.flatMap(({ column, source, problem }) => {
      if (problem) return [element("p", "", `${problem.charAt(0).toUpperCase()}${problem.slice(1)}.`)];
      const n = column ? rows.filter((row) => column.missing(row)).length : 0;
      return n ? [element("p", "", `${count(n)} of ${count(runs.count)} runs have no value for `, element("span", "rp-mono", source), ", so it cannot match them.")] : [];
    });
    const best = [...ways].sort((a, b) => b.left - a.left)[0];
    const buttons = [button("Clear all", () => this.adopt(""))];
    if (best?.left && ways.length > 1) {
      buttons.unshift(button(`Remove ${best.words}`, () => { best.drop(); if (this.input) this.input.value = state.filter; void this.refresh(); }));
    }
    this.empty?.replaceChildren(
      element("p", "", element("b", "", runs.count ? "No run matches " : "No run yet", element("span", "rp-mono", ways.map((w) => w.words).join(" ")))),
      ...(ways.length > 1 ? [element("p", "", ...ways.flatMap((w) => ["Without ", element("span", "rp-mono", w.words), `: ${count(w.left)} runs. `]))] : []),
      ...lacking, element("p", "", ...buttons));
  }

  /** The bar above the table: what is ticked, and the way to compare it. */
  chosen() {
    const rows = [...this.table.picked];
    const bar = /** @type {HTMLElement} */ (this.selection);
    bar.hidden = !rows.length;
    this.state.picked = rows.map((row) => this.runs.column("slug").text(row));
    if (!rows.length) return;
    const names = rows.slice(0, 4).map((row) => this.runs.column("name").text(row)).join(", ");
    const go = /** @type {HTMLAnchorElement} */ (element("a", "go", `Compare ${rows.length} runs →`));
    go.href = `../compare/?runs=${this.state.picked.join(",")}`;
    bar.replaceChildren(element("b", "", `${rows.length} selected`),
      element("span", "", rows.length > 4 ? `${names} and ${rows.length - 4} more` : names, rows.length > MOST ? "; many for one comparison" : ""),
      link("clear", () => { this.table.picked.clear(); this.table.redraw(); this.chosen(); keep(this.state); }), rows.length > 1 ? go : element("em", "go", "tick another to compare"));
  }

  /** @param {import("./rp-browse-columns.js").Shown} column */
  sortBy(column) {
    const same = this.state.sort === column.id;
    this.state.falling = same ? !this.state.falling : column.falling;
    this.state.sort = column.id;
    this.table.box.scrollTop = 0;
    this.arrange();
  }

  /** @param {number[]} rows @param {boolean} on */
  pick(rows, on) {
    for (const row of rows) {
      if (on) this.table.picked.add(row);
      else this.table.picked.delete(row);
    }
    this.table.redraw();
    this.chosen();
    keep(this.state);
  }

  /** @param {string} group */
  fold(group) {
    if (!this.open.delete(group)) this.open.add(group);
    this.arrange();
  }

  /** @param {string} id @param {string} name @param {boolean} on */
  facet(id, name, on) {
    const names = this.state.chosen.get(id) ?? new Set();
    if (on) names.add(name);
    else names.delete(name);
    if (names.size) this.state.chosen.set(id, names);
    else this.state.chosen.delete(id);
    this.table.box.scrollTop = 0;
    this.apply();
  }

  /** @param {string} id @param {boolean} on */
  async column(id, on) {
    this.state.columns = on ? [...this.state.columns, id] : this.state.columns.filter((one) => one !== id);
    await this.refresh();
  }

  export() {
    const columns = this.table.columns.filter((c) => c.id !== "curve");
    const fixed = ["slug", "name", "project", "state"].map((name) => this.runs.column(name));
    const head = [...fixed.map((c) => c.name), ...columns.map((c) => c.id)];
    save("runs.csv", csv([head, ...[...this.rows].map((row) => [...fixed.map((c) => c.text(row)), ...columns.map((c) => c.csv(row))])]));
  }
}

/** @param {string} words @param {() => void} act @param {string} [style] */
function button(words, act, style = "rp-btn") {
  const node = /** @type {HTMLButtonElement} */ (element("button", style, words));
  node.type = "button";
  node.addEventListener("click", act);
  return node;
}

/** @param {string} words @param {() => void} act */
const link = (words, act) => button(words, act, "rp-link");

/** Called by rp.js on a page that has the place for it; `signal` ends it. @param {AbortSignal} signal */
export async function start(signal) {
  const root = /** @type {HTMLElement | null} */ (document.querySelector("[data-rp-browse]"));
  if (!root) return;
  let runs;
  try {
    const styled = look("rp-browse.css", signal);
    runs = await Runs.load(new URL(root.dataset.rpBrowse ?? "", document.baseURI).href, signal);
    await styled;
  } catch {
    if (signal.aborted) return;
    root.hidden = false;
    root.replaceChildren(element("p", "rp-warned", "The table of all runs could not be loaded; the newest runs stand below."));
    return;
  }
  if (signal.aborted || !root.isConnected) return;
  const browse = new Browse(root, runs, signal);
  browse.fallback(true);
  root.hidden = false;
  await browse.refresh();
  root.dataset.rpReady = "";
}
