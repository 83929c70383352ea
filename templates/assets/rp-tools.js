// The controls above the charts: what x counts, smoothing, the scale of y, the baseline, the link.
// The template keeps their place, so that nothing moves when they come.
// @ts-check

/** @typedef {import("./rp-charts.js").Charts} Charts */
/** @typedef {import("./rp-view.js").View} View */

/** @template {keyof HTMLElementTagNameMap} Name @param {Name} name @param {Record<string, unknown>} [facts]
 * @param {(Node | string)[]} [inside] @returns {HTMLElementTagNameMap[Name]} */
export function element(name, facts = {}, inside = []) {
  const made = Object.assign(document.createElement(name), facts);
  made.append(...inside);
  return made;
}

/** One of several: radio buttons that look like one switch. @param {string} legend @param {string} name
 * @param {[string, string, string?][]} choices value, words, why it cannot be chosen @param {(value: any) => void} chosen */
export function choice(legend, name, choices, chosen) {
  const set = element("fieldset", { className: "rp-seg" }, [element("legend", { textContent: legend })]);
  for (const [value, words, why] of choices) {
    const input = element("input", { type: "radio", name, value, disabled: Boolean(why), onchange: () => chosen(value) });
    set.append(element("label", { title: why ?? "" }, [input, element("span", { textContent: words })]));
  }
  return set;
}

/** @param {HTMLElement} place @param {Charts} page */
export function start(place, page) {
  const { noStep, noTokens, noTime, baseline, group } = place.dataset;
  const smooth = element("input", { type: "range", min: "0", max: "0.99", step: "0.01", value: "0",
    oninput: () => page.change({ sm: Number(smooth.value) }) });
  const weight = element("output");
  const said = element("output", { className: "rp-quiet" });
  const base = element("input", { type: "checkbox", onchange: () => page.change({ base: base.checked }) });
  const others = element("output", { className: "rp-quiet" });
  const siblings = element("input", { type: "checkbox", onchange: () => page.change({ sib: siblings.checked }) });
  const tell = async () => {
    others.textContent = await page.family().then(counted, () => "could not be loaded");
  };
  const copy = element("button", { type: "button", textContent: "Copy link", onclick: async () => {
    const done = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    said.textContent = done ? "copied" : "the address bar has it";
    setTimeout(() => { said.textContent = ""; }, 3000);
  } });
  const reset = element("button", { type: "button", textContent: "Show everything", onclick: () => page.change({ x: null }) });
  const controls = [
    choice("x", "rp-ax", [["step", "step", noStep], ["tokens", "tokens", noTokens], ["elapsed", "elapsed", noTime], ["wall", "wall time", noTime]],
      async (ax) => { await page.main(); page.change({ ax }); }),
    element("label", { title: "Exponential moving average of the points drawn, without the bias of its start" }, ["smooth ", smooth, weight]),
    choice("y", "rp-y", [["", "auto"], ["linear", "linear"], ["log", "log"]], (y) => page.change({ y })),
    ...(baseline ? [element("label", {}, [base, " baseline"])] : []),
    ...(group ? [element("label", { title: "The other runs of its group, faint" }, [siblings, " siblings ", others])] : []),
    copy, said, reset,
  ];
  const wide = matchMedia("(min-width: 45em)").matches; // a phone has no room for all of it
  place.append(element("details", { className: "rp-more", open: wide }, [element("summary", { textContent: "View" }), element("div", {}, controls)]));
  /** @param {View} view */
  const show = (view) => {
    for (const [name, value] of [["rp-ax", view.ax], ["rp-y", view.y]]) {
      const input = /** @type {HTMLInputElement | null} */ (place.querySelector(`input[name="${name}"][value="${value}"]`));
      if (input) input.checked = true;
    }
    smooth.value = String(view.sm);
    weight.textContent = view.sm.toFixed(2);
    base.checked = view.base;
    siblings.checked = view.sib;
    if (group && view.sib) tell();
    else others.textContent = "";
    reset.hidden = !view.x;
  };
  page.watchers.push(show);
  show(page.view);
}

/** @param {import("./rp-siblings.js").Family} family */
function counted({ runs, left }) {
  if (!runs.length) return left ? "could not be loaded" : "(no other run)";
  return left ? `(${runs.length} of ${runs.length + left})` : `(${runs.length})`;
}
