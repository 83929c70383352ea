// The runs that are shown as a CSV file.
// @ts-check

/** A cell that no spreadsheet takes for a formula; numbers stay numbers. @param {string | number} value */
export function cell(value) {
  if (typeof value === "number") return String(value);
  const formula = /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value));
  const text = formula ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {(string | number)[][]} rows */
export function csv(rows) {
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** @param {string} name @param {string} text */
export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
