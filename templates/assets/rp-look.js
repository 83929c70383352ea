// The rules of look that only some pages have use for.
// @ts-check

/** Adds a style sheet beside the scripts once; resolves when it holds, or cannot.
 * @param {string} name @param {AbortSignal} signal @returns {Promise<void>} */
export async function look(name, signal) {
  const href = new URL(name, import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = href;
  await new Promise((done) => {
    link.onload = link.onerror = done;
    signal.addEventListener("abort", done);
    document.head.append(link);
  });
}
