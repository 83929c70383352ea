// The windowed table: only the rows in sight are in the document.
// @ts-check

import { element, nameCell } from "./rp-browse-columns.js";

/** @typedef {import("./rp-browse-data.js").Runs} Runs */
/** @typedef {import("./rp-browse-columns.js").Shown} Shown */
/** @typedef {import("./rp-browse-rows.js").Item} Item */

/** Rows drawn above and below the window. */
const MARGIN = 5;
/** Height of a row in rem, set in the style sheet. */
const ROW = "--rp-row";

export class Table {
  /** @param {Runs} runs @param {string} root address of the section @param {{sort: (shown: Shown) => void, pick: (rows: number[], on: boolean) => void, fold: (group: string) => void}} on */
  constructor(runs, root, on) {
    this.runs = runs;
    this.root = root;
    this.on = on;
    /** @type {Item[]} */
    this.items = [];
    /** @type {Shown[]} */
    this.columns = [];
    /** @type {Set<number>} */
    this.picked = new Set();
    this.active = -1;
    this.frame = 0;
    this.drawn = "";
    this.box = element("div", "rp-grid__box");
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "region");
    this.box.setAttribute("aria-label", "Table of runs. Arrow keys move, Enter opens, Space selects.");
    this.table = element("table", "rp-t rp-runs rp-grid__t");
    this.columnGroup = document.createElement("colgroup");
    this.head = document.createElement("thead");
    this.body = document.createElement("tbody");
    this.table.append(this.columnGroup, this.head, this.body);
    this.box.append(this.table);
    this.box.addEventListener("scroll", () => this.later(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.click(event));
  }

  /** Everything anew. @param {Item[]} items @param {Shown[]} columns @param {{id: string, falling: boolean}} sorted */
  show(items, columns, sorted) {
    this.items = items;
    if (this.columns.map((c) => c.id).join() !== columns.map((c) => c.id).join() || this.drawn === "") {
      this.columns = columns;
      this.widths();
    }
    this.columns = columns;
    this.heading(sorted);
    this.table.setAttribute("aria-rowcount", String(items.length + 1));
    this.active = Math.min(this.active, items.length - 1);
    this.drawn = "";
    this.draw();
  }

  widths() {
    const of = (/** @type {string} */ name, /** @type {number} */ rem) => {
      const col = element("col", name);
      if (rem) col.style.width = `${rem}rem`;
      return col;
    };
    this.columnGroup.replaceChildren(of("", 1.4), of("rp-grid__name", 0), ...this.columns.map((c) => of(`${this.classOf(c)} rp-grid__${c.id === "value" || c.id === "findings" ? c.id : "c"}`, c.rem)));
    this.table.style.setProperty("--rp-min", `${12 + this.columns.reduce((sum, c) => sum + c.rem, 0)}rem`);
  }

  /** Phones keep value and findings. @param {Shown} column */
  classOf(column) {
    return `${column.right ? "n " : ""}${["value", "findings"].includes(column.id) ? "" : "rp-wide"}`;
  }

  /** @param {{id: string, falling: boolean}} sorted */
  heading(sorted) {
    const row = document.createElement("tr");
    const select = element("th", "", element("span", "rp-vh", "Select"));
    row.append(select);
    /** @type {Shown} */
    const name = { id: "name", label: "Run", right: false, rem: 0, sort: this.runs.column("name"), falling: false, cell: () => [], csv: () => "" };
    for (const column of [name, ...this.columns]) {
      const cell = element("th", column === name ? "" : this.classOf(column));
      cell.setAttribute("scope", "col");
      if (column.sort) {
        const button = element("button", "", column.label);
        button.setAttribute("type", "button");
        if (column.id === sorted.id) {
          cell.classList.add("sorted");
          cell.setAttribute("aria-sort", sorted.falling ? "descending" : "ascending");
          button.append(sorted.falling ? " ▾" : " ▴");
        }
        button.addEventListener("click", () => this.on.sort(column));
        cell.append(button);
      } else cell.append(column.label);
      row.append(cell);
    }
    const focused = [...this.head.querySelectorAll("button")].findIndex((one) => one === document.activeElement);
    this.head.replaceChildren(row);
    if (focused >= 0) [...this.head.querySelectorAll("button")].at(focused)?.focus();
  }

  height() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    return Math.round((parseFloat(getComputedStyle(this.box).getPropertyValue(ROW)) || 2.4) * rem);
  }

  later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  redraw() {
    this.drawn = "";
    this.later();
  }

  draw() {
    const height = this.height();
    // the box grows with its rows up to nearly the window's height
    const [from, to] = [Math.floor(this.box.scrollTop / height) - MARGIN, Math.ceil((this.box.scrollTop + innerHeight) / height)];
    const first = Math.max(0, Math.min(from, this.items.length - 1));
    const last = Math.min(this.items.length, Math.max(to, first + 1));
    const drawn = `${first} ${last} ${height}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const holder = document.activeElement;
    const focused = holder && this.body.contains(holder) ? `${holder.closest("tr")?.dataset.at} ${holder.tagName}` : "";
    const rows = this.items.slice(first, last).map((item, i) => this.row(item, first + i, height));
    this.body.replaceChildren(this.space(first * height), ...rows, this.space((this.items.length - last) * height));
    if (focused) {
      const [at, tag] = focused.split(" ");
      /** @type {HTMLElement} */ (this.body.querySelector(`tr[data-at="${at}"] ${tag}`) ?? this.box).focus({ preventScroll: true });
    }
  }

  /** @param {number} height */
  space(height) {
    const row = element("tr", "rp-grid__space");
    row.setAttribute("aria-hidden", "true");
    const cell = document.createElement("td");
    cell.style.height = `${height}px`;
    row.append(cell);
    row.hidden = height <= 0;
    return row;
  }

  /** @param {Item} item @param {number} at @param {number} height */
  row(item, at, height) {
    const all = item.rows ?? [item.row];
    const row = element("tr", `${item.set ? "grp" : ""}${item.member ? "kid" : ""}${at === this.active ? " on" : ""}`);
    row.dataset.at = String(at);
    row.style.height = `${height}px`;
    row.setAttribute("aria-rowindex", String(at + 2));
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = all.every((one) => this.picked.has(one));
    box.indeterminate = !box.checked && all.some((one) => this.picked.has(one));
    box.setAttribute("aria-label", `Select ${item.set ? item.set.group : this.runs.column("name").text(item.row)}`);
    const name = element("th", "name");
    name.setAttribute("scope", "row");
    name.append(...nameCell(this.runs, item, this.root));
    row.append(element("td", "", box), name);
    for (const column of this.columns) {
      const cell = element("td", this.classOf(column));
      // small curves come later, each into its own cell
      cell.append(...column.cell(item, () => { if (cell.isConnected) cell.replaceChildren(...column.cell(item, () => {})); }));
      row.append(cell);
    }
    return row;
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {Element} */ (event.target);
    const at = Number(target.closest("tr")?.dataset.at ?? -1);
    const item = this.items[at];
    if (!item) return;
    this.active = at;
    const fold = target.closest("button");
    if (fold instanceof HTMLElement && fold.dataset.rpSet !== undefined) this.on.fold(fold.dataset.rpSet);
    else if (target instanceof HTMLInputElement) this.on.pick(item.rows ?? [item.row], target.checked);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.box) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height()) - 2);
    const moves = new Map(Object.entries({ ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -this.items.length, End: this.items.length }));
    const step = moves.get(event.key);
    const item = this.items[this.active];
    if (step !== undefined) this.move(step);
    else if (event.key === "Enter" && item?.set) this.on.fold(item.set.group);
    else if (event.key === "Enter" && item) /** @type {HTMLElement | null} */ (this.body.querySelector("tr.on a"))?.click();
    else if ((event.key === " " || event.key === "x") && item) {
      const all = item.rows ?? [item.row];
      this.on.pick(all, !all.every((one) => this.picked.has(one)));
    } else return;
    event.preventDefault();
    event.stopPropagation(); // Material has keys of its own
  }

  /** @param {number} step */
  move(step) {
    this.active = Math.max(0, Math.min(this.items.length - 1, this.active + step));
    const height = this.height();
    const top = this.active * height;
    const room = this.box.clientHeight - this.head.offsetHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + height > this.box.scrollTop + room) this.box.scrollTop = top + height - room;
    this.drawn = "";
    this.draw();
  }
}
