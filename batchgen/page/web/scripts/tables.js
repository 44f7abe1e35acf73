"use strict";
/* Where the money went, how long it took, and what went wrong, as tables. */
(function (batchgen) {
  const { command, fill, h, statePill, time } = batchgen.dom;
  const { count, decimals, duration, isZero, plural, usd } = batchgen.text;

  /** A table with a caption. Columns: {head, cell(row), money, bar(row)}; a bar is drawn as a share of the largest. */
  function table(title, columns, rows) {
    const bars = columns.map(({ bar }) => (bar ? Math.max(...rows.map(bar), 0) : 0));
    const cell = (column, row, at) => {
      const content = column.cell(row);
      if (!column.bar) return h(at === 0 ? "th" : `td${column.money ? ".money" : ""}`, { scope: at === 0 ? "row" : null }, content);
      const line = h("span.bar-line", { "aria-hidden": "true" }, h("span"));
      const share = bars[at] > 0 ? column.bar(row) / bars[at] : 0;
      if (share > 0) line.firstChild.style.width = `${share * 100}%`;
      else line.replaceChildren();
      return h("td.money.with-bar", null, line, h("span.amount", null, content));
    };
    return h("div.block", null, h("h3", null, title), h("div.table-box", { tabindex: "0", role: "region", "aria-label": title }, h("table", null,
      h("thead", null, h("tr", null, columns.map(({ head, money, bar }) => h(`th${money || bar ? ".money" : ""}`, { scope: "col" }, head)))),
      h("tbody", null, rows.map((row) => h("tr", null, columns.map((column, at) => cell(column, row, at))))))));
  }

  function costColumns(name, on, kind, rows) {
    const [places, each] = [decimals(rows.map((row) => row.net_usd)), decimals(rows.map((row) => row.per_output_usd))];
    return [
      { head: name, cell: (row) => (kind && row.name && !row.name.startsWith("(") ? h("button.link", { type: "button", title: "Show them in the gallery", on: { click: () => on.filter(kind.name, kind.value(row.name)) } }, row.name) : row.name || "(none)") },
      { head: "Items", money: true, cell: (row) => count(row.items) },
      { head: "Done", money: true, cell: (row) => count(row.done) },
      { head: "Outputs", money: true, cell: (row) => count(row.outputs) },
      { head: "An output", money: true, cell: (row) => (row.per_output_usd === null || row.per_output_usd === undefined ? "–" : usd(row.per_output_usd, each)) },
      { head: "Cost", bar: (row) => Number(row.net_usd), cell: (row) => usd(row.net_usd, places) },
    ];
  }

  /** Draw what money and time went into. */
  function drawMoney(element, overview, { on }) {
    const { by_model: models = [], by_tag: tags = {}, durations = [] } = overview;
    const longest = { head: "Longest", bar: (row) => row.longest_s ?? 0, cell: (row) => duration(row.longest_s) };
    fill(element,
      models.length ? table("Cost by model", costColumns("Model", on, { name: "model", value: (name) => name }, models), models) : null,
      Object.entries(tags).map(([tag, rows]) => table(`Cost by ${tag}`, costColumns(tag, on, { name: "tag", value: (name) => `${tag}=${name}` }, rows), rows)),
      durations.length ? table("How long jobs took", [
        { head: "Model", cell: (row) => row.model }, { head: "Jobs", money: true, cell: (row) => count(row.jobs) },
        { head: "10 % within", money: true, cell: (row) => duration(row.p10_s) }, { head: "Half within", money: true, cell: (row) => duration(row.median_s) }, { head: "90 % within", money: true, cell: (row) => duration(row.p90_s) }, longest], durations) : null);
  }

  /** Draw what went wrong or waits for somebody, and what to do about it. */
  function drawProblems(element, overview, { on }) {
    const blocks = [waiting(overview, on), failures(overview, on), doubts(overview), flags(overview, on)].filter(Boolean);
    fill(element, blocks.length ? blocks : h("p.empty-line", null, overview.running ? "No problems so far." : overview.started_at ? "Nothing went wrong." : "Nothing was bought yet."));
  }

  function failures({ failures: causes = [], more_failures: more = 0, repair, lost }, on) {
    if (!causes.length) return null;
    return h("div.block", null, table("What did not succeed", [
      { head: "State", cell: (row) => h("button.link", { type: "button", title: "Show them in the gallery", on: { click: () => on.filter("state", row.state) } }, statePill(row.state)) },
      { head: "Cause", cell: (row) => h("span.cause", null, row.parameter ? h("code", null, row.parameter) : null, row.parameter ? ": " : null, row.cause) },
      { head: "Model", cell: (row) => row.model },
      { head: "Lost", money: true, cell: (row) => (isZero(row.lost_usd) ? "–" : usd(row.lost_usd)) },
      { head: "Again for", money: true, cell: (row) => usd(row.estimated_usd) },
      { head: "Items", bar: (row) => row.items, cell: (row) => count(row.items) },
    ], causes),
    more ? h("p.note-line", null, `and ${plural(more, "item")} of other causes; the ledger has them all.`) : null,
    repair ? remedy(`Buys ${plural(repair.items, "failed item")} again, for ${usd(repair.estimated_usd)}. They were refunded.`, repair.command) : null,
    lost ? remedy(`Buys ${plural(lost.items, "lost item")} again, for ${usd(lost.estimated_usd)}: you pay twice.`, lost.command, "warn") : null);
  }

  function remedy(text, what, how = "") {
    return h(`div.remedy${how ? `.tone-${how}` : ""}`, null, h("p", null, text), command(what));
  }

  function doubts({ doubts: all = [], more_doubts: more = 0 }) {
    if (!all.length) return null;
    return h("div.block", null, h("h3", null, "Charges in doubt"),
      h("p.lead", null, "A request left, and no job id came back: each of these may have been charged. None of them is bought again until it is settled. Look it up in your account at the provider, and add what you found to the command: ",
        h("code", null, "--job-id ID"), " where the job is there; ", h("code", null, "--not-charged"), " where nothing was charged; ", h("code", null, "--charged"), " where it was, and no job can be found."),
      all.map((doubt) => h("div.remedy.tone-warn", null,
        h("p", null, h("strong", null, doubt.item_id), ` · attempt ${doubt.attempt} · `, usd(doubt.in_doubt_usd), " · ", time(doubt.submitted_at, { second: "2-digit" })),
        doubt.reason ? h("p.muted", null, doubt.reason) : null, doubt.command ? command(doubt.command) : null)),
      more ? h("p.note-line", null, `and ${plural(more, "other")}.`) : null);
  }

  function flags({ flags: found = [] }, on) {
    if (!found.length) return null;
    return table("Flags", [
      { head: "Flag", cell: (row) => h("button.link", { type: "button", title: "Show them in the gallery", on: { click: () => on.filter("flag", row.flag) } }, row.flag.replace(/_/g, " ")) },
      { head: "What it means", cell: (row) => row.meaning },
      { head: "Outputs", bar: (row) => row.outputs, cell: (row) => count(row.outputs) },
    ], found);
  }

  function waiting({ waiting: all }, on) {
    if (!all?.items) return null;
    return h("div.block", null, table("Waiting for your pick", [
      { head: "Keep one output of", cell: (row) => (row.key === null || row.key === undefined ? row.item_id : h("button.link", { type: "button", title: "Open it", on: { click: () => on.open(row.key, 1) } }, row.item_id)) },
      { head: "Items that wait", money: true, cell: (row) => count(row.waiting) },
      { head: "They would cost", bar: (row) => Number(row.estimated_usd), cell: (row) => usd(row.estimated_usd) },
    ], all.sources ?? []), h("p.note-line", null, `${plural(all.items, "item")} for ${usd(all.estimated_usd)} in all. Keep exactly one output of each, then run again.`,
      all.kept_until ? [" The API keeps the outputs until ", time(all.kept_until), "."] : null));
  }

  Object.assign(batchgen, { tables: { drawMoney, drawProblems } });
})((globalThis.batchgen ??= {}));
