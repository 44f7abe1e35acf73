"use strict";
/* Picks as the CSV file that `batchgen picks RUN --import` reads (RFC 4180). Pure. */
(function (batchgen) {
  const COLUMNS = ["item_id", "output", "pick", "reason", "rating", "at"];
  // What spreadsheets take for the start of a formula gets an apostrophe, which the import takes away again.
  const FORMULA = /^['\s\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－＠]/;
  const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

  function text(value) {
    const line = String(value).toWellFormed?.() ?? String(value);
    const plain = line.replace(CONTROLS, " ");
    return FORMULA.test(plain) ? `'${plain}` : plain;
  }

  function cell(value) {
    return /[",]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value;
  }

  /** Return the file's text for lines {id, n, pick, reason, rating, at}. */
  function picksCsv(lines) {
    const rows = lines.map(({ id, n, pick, reason, rating, at }) =>
      [text(id), String(n), pick, text(reason ?? ""), rating ? String(rating) : "", at].map(cell).join(","));
    return [COLUMNS.join(","), ...rows, ""].join("\r\n");
  }

  Object.assign(batchgen, { picksCsv });
})((globalThis.batchgen ??= {}));
