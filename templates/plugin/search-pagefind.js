/**
 * The worker that the theme's search dialog asks, in place of its own: messages are those of
 * Material's `SearchMessageType`. Pagefind finds where the words stand, each word by itself; this
 * file puts that together, as neither a word's rarity nor its absence can be seen from within one
 * bundle. `plugin/shards.py` writes the bundles and says how a word stands in them.
 */
const [SETUP, READY, QUERY, RESULT] = [0, 1, 2, 3];
const END = "\u0298", POINT = "\u0297";
const NAMES = 8, TITLE = 24; // first position behind the names, behind the title
const SHOWN = 24;
const SITE = new URL("../../../", self.location.href);
const WEIGHT = { name: 3, title: 3, text: 1, beginning: 0.5, together: 1, list: 0.3 };

let shards = [];
let asked = 0;
let bundles;
const found = new Map();

addEventListener("message", async ({ data: { type, data } }) => {
  if (type === SETUP) {
    shards = data.config.shards;
    postMessage({ type: READY });
  } else if (type === QUERY) {
    const number = ++asked;
    const items = await answer(data, () => number !== asked).catch(excuse);
    if (number === asked) postMessage({ type: RESULT, data: { items } });
  }
});

/** Items of the dialog for a query; none once it is `outdated`. */
async function answer(query, outdated) {
  const words = [...new Set(wordsOf(query))];
  if (!words.length) return [];
  bundles ??= open();
  const pagefind = await bundles;
  const named = placesOf(pagefind, END + wordsOf(query).join("").replaceAll(".", POINT) + END);
  const terms = await Promise.all(words.map((word, at) => termOf(pagefind, word, at === words.length - 1)));
  const best = ranked(terms, await named).slice(0, SHOWN);
  if (outdated()) return [];
  const pages = await Promise.all(best.map(async ({ result, score, missing }) => {
    const { url } = await result.data();
    return { ...JSON.parse(url.slice(2)), score, missing };
  }));
  return grouped(pages, words, query);
}

/** All bundles as one; a first query begins this, so that a page without one loads nothing. */
async function open() {
  const path = (name) => new URL(`search/pagefind/${name}/`, SITE).href;
  const [[first, tag]] = shards.filter(([name]) => name === "pages");
  const { createInstance } = await import(`${path(first)}pagefind.js`);
  const pagefind = createInstance({ basePath: path(first), metaCacheTag: tag });
  const others = shards.filter(([name]) => name !== first);
  await Promise.all(others.map(([name, tag]) => pagefind.mergeIndex(path(name), { metaCacheTag: tag })));
  return pagefind;
}

/** Where a word stands: results by id. */
function placesOf(pagefind, word) {
  if (!found.has(word)) {
    if (found.size > 60) found.clear();
    found.set(word, pagefind.search(word).then(({ results }) => new Map(results.map((one) => [one.id, one]))));
  }
  return found.get(word);
}

/** A word as it is written; words that begin with it, if it is the one being typed or unknown. */
async function termOf(pagefind, word, typed) {
  const written = word.replaceAll(".", POINT);
  const exact = await placesOf(pagefind, written + END);
  const longer = word.length > 2 && !word.includes(".") && typed;
  if (exact.size && !longer) return { exact, places: exact };
  await pagefind.preload(`${written}\u9fa5`); // its words may go on in the next file
  return { exact, places: await placesOf(pagefind, written) };
}

/** Results that hold every word, or the most telling ones of those that none holds together. */
function ranked(terms, named) {
  const total = shards.reduce((sum, [, , entries]) => sum + entries, 0);
  const rarity = terms.map(({ places: { size } }) => Math.log(1 + (total - size + 0.5) / (size + 0.5)));
  const scores = new Map();
  const score = (result) => {
    let [sum, told, before] = [0, 0, []];
    terms.forEach(({ exact, places }, at) => {
      const words = (exact.get(result.id) ?? places.get(result.id))?.words ?? [];
      if (words.length) {
        told += rarity[at];
        const title = words.some((place) => place >= NAMES && place < TITLE);
        const whole = exact.has(result.id) ? 1 : WEIGHT.beginning;
        sum += rarity[at] * whole * (title ? WEIGHT.title : WEIGHT.text);
        const follows = words.some((place) => place >= NAMES && before.includes(place - 1));
        if (at && follows) sum += WEIGHT.together * Math.min(rarity[at], rarity[at - 1]);
      }
      before = words;
    });
    if (result.id.startsWith("lists_")) sum *= WEIGHT.list;
    if (named.has(result.id)) sum += WEIGHT.name * rarity.reduce((one, other) => one + other);
    scores.set(result.id, { result, score: sum, told, missing: terms.map(({ places }) => !places.has(result.id)) });
  };
  const all = terms.reduce((one, other) => (other.places.size < one.places.size ? other : one)).places;
  for (const [id, result] of all) if (terms.every(({ places }) => places.has(id))) score(result);
  if (!scores.size) for (const { places } of terms) for (const [id, result] of places) if (!scores.has(id)) score(result);
  const list = [...scores.values()];
  const most = Math.max(...list.map(({ told }) => told));
  return list.filter(({ told }) => told > most - 1e-9).sort((one, other) => other.score - one.score);
}

/** Sections of one page are one item, the page itself first. */
function grouped(pages, words, query) {
  const items = new Map();
  const marks = marker(words, query);
  for (const { l: location, t: title, x: text, g: tags, score, missing } of pages) {
    const page = location.split("#")[0];
    const terms = Object.fromEntries(words.map((word, at) => [word, !missing[at]]));
    const entry = { location, title: marks(title), text: teaser(text, marks), score, terms, ...(tags && { tags: tags.map(safe) }) };
    if (!items.has(page)) items.set(page, []);
    items.get(page).push(entry);
  }
  return [...items.values()].map((item) => item.sort((one, other) => one.location.includes("#") - other.location.includes("#")));
}

const safe = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** Text as HTML, words of the query marked where one begins so. */
function marker(words, query) {
  const forms = [...new Set([...words, ...query.toLowerCase().split(/\s+/)])].filter(Boolean).sort((one, other) => other.length - one.length);
  const known = forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
  const parts = new RegExp(`(?<![\\p{L}\\p{N}])(${known})`, "giu");
  return (text) => text.split(parts).map((part, at) => (at % 2 ? `<mark>${safe(part)}</mark>` : safe(part))).join("");
}

/** The line that holds most of the query, from a little before its first word. */
function teaser(text, marks) {
  let [best, most] = ["", -1];
  for (const line of text.split("\n")) {
    const first = marks(line).indexOf("<mark>");
    const count = new Set(marks(line).match(/<mark>.*?<\/mark>/g)?.map((mark) => mark.toLowerCase())).size;
    if (count > most) [best, most] = [{ line, first }, count];
  }
  if (!best) return "";
  const from = best.first > 80 ? best.line.indexOf(" ", best.first - 60) + 1 : 0;
  const cut = best.line.slice(from, from + 220);
  return `<p>${from ? "… " : ""}${marks(cut)}${from + 220 < best.line.length ? " …" : ""}</p>`;
}

/** What the dialog shows when the search cannot work, instead of "no results". */
function excuse(error) {
  console.error("search:", error);
  const text = "A Content-Security-Policy needs script-src 'self' 'wasm-unsafe-eval' for it; else the files below search/pagefind are missing.";
  return [[{ location: "", title: "The search could not start", text: `<p>${safe(text)}</p>`, score: 1, terms: {} }]];
}
