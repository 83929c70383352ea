// Plotly reads tags, entities and TeX in its texts: what came out of a run is encoded for it, as
// markup.plotly_text does.
// @ts-check

/** @param {string} text */
export const escaped = (text) => text.replace(/[&<>$]/g, (c) => `&#${c.charCodeAt(0)};`);

/** @param {string} text */
export const plain = (text) => text.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
