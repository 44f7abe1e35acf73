"use strict";
/* The top of the page: which run, how it stands, what it made and cost, and what to do next. */
(function (batchgen) {
  const { command, fill, h, hidden, icon, time } = batchgen.dom;
  const { bytes, count, dateTime, duration, isZero, plural, stateMeaning, stateWord, tone, usd } = batchgen.text;

  /** How the run stands: [tone, words]. */
  function standing(overview) {
    if (overview.running) return ["live", "Running"];
    const counts = overview.counts ?? {};
    const bad = (counts.failed ?? 0) + (counts.rejected ?? 0) + (counts.lost ?? 0) + (counts.skipped ?? 0);
    if (overview.stopped_because === "waiting_for_pick") return overview.waiting?.items ? ["warn", "Waits for your picks"] : ["calm", "Picked; run again"];
    if (overview.stopped_because) return ["warn", "Stopped"];
    if (!overview.started_at) return ["calm", "Not started"];
    if (counts.in_doubt) return ["warn", "Finished, with charges in doubt"];
    if (overview.unfinished && overview.exit_code !== 0) return ["warn", "Not finished"];
    if (bad) return ["warn", `Finished; ${count(bad)} did not succeed`];
    return ["good", "Finished"];
  }

  const SIMULATED = "Simulated: pretend money. Nothing here was paid for, and the pictures are drawn by the simulator.";

  /** Return the bar at the top, which stays in sight. `on` holds keys() and theme(). */
  function makeBar(element, { on }) {
    const name = h("a.run-name", { href: "#main" });
    const state = h("span.bar-state");
    const connection = h("span.connection", { role: "status" });
    const links = h("nav.jump", { "aria-label": "Parts of this page" });
    const theme = h("button.plain", { type: "button", on: { click: () => on.theme() } });
    element.append(name, state, connection, links, h("span.bar-tools", null, theme,
      h("button.plain", { type: "button", title: "Keys (?)", "aria-label": "Which keys there are", on: { click: () => on.keys() } }, h("span.question", { "aria-hidden": "true" }, "?"))));
    for (const link of [name, links]) {
      // The hash holds the filter: a jump must not put another one in its place.
      link.addEventListener("click", (event) => {
        const target = event.target.closest("a")?.getAttribute("href");
        if (!target) return;
        event.preventDefault();
        const part = document.querySelector(target);
        part.scrollIntoView();
        part.focus({ preventScroll: true });
      });
    }
    return {
      draw(overview) {
        name.textContent = overview.run;
        const [how, words] = standing(overview);
        fill(state, h(`span.pill.tone-${how}`, null, h("span.dot", { "aria-hidden": "true" }), words),
          overview.simulated ? h("span.pill.pretend", { title: SIMULATED }, "Simulated") : null);
        const wrong = (overview.failures ?? []).reduce((sum, cause) => sum + cause.items, overview.more_failures ?? 0) + (overview.doubts ?? []).length;
        fill(links, h("a", { href: "#gallery" }, "Gallery"), h("a", { href: "#money" }, "Money and time"),
          h("a", { href: "#problems" }, wrong ? ["Problems", h("span.number", null, count(wrong))] : "Problems"));
      },
      theme(dark) {
        const label = dark ? "Light colours" : "Dark colours";
        fill(theme, icon(dark ? "light" : "dark"), hidden(label));
        theme.title = label;
      },
      connected(is) {
        connection.className = `connection ${is ? "is-live" : "is-lost"}`;
        fill(connection, h("span.dot", { "aria-hidden": "true" }), is ? "Live" : "Connection lost; trying again…");
      },
    };
  }

  /** Draw the summary. `on.filter(name, value)` shows a part of the gallery. */
  function drawSummary(element, overview, { on, live }) {
    const { money } = overview;
    const pretend = overview.simulated ? h("p.pretend-band", { role: "note" }, h("strong", null, "Simulated: pretend money."), " Nothing here was paid for; the simulator drew the pictures.") : null;
    fill(element, pretend,
      h("div.title", null, h("h1", { tabindex: "-1" }, overview.run), when(overview)),
      overview.stop_text ? h("p.stop-text", null, prose(overview.stop_text)) : null,
      h("div.figures", null,
        figure("Made", count(overview.outputs), overview.outputs === 1 ? "output" : "outputs",
          `${count(overview.counts?.done ?? 0)} of ${plural(overview.items, "item")} done${overview.bytes ? ` · ${bytes(overview.bytes)}` : ""}`),
        costFigure(overview),
        isZero(money.in_doubt_usd) && !(overview.counts?.in_doubt) ? null : figure("In doubt", usd(money.in_doubt_usd), "", "may have been charged; to be settled", null, "warn"),
        overview.unfinished ? figure("Left to do", count(overview.unfinished), overview.unfinished === 1 ? "item" : "items", isZero(money.left_usd) ? "nothing more to pay" : `about ${usd(money.left_usd)}`) : null,
        picksFigure(overview)),
      states(overview, on), next(overview, live),
      overview.sample ? h("p.note-line", null, `This report shows ${count(overview.sample.shown)} of ${plural(overview.sample.of, "item")}: all that failed, was flagged or picked, and a sample of the others. `, h("code", null, "batchgen view"), " shows every one.") : null);
  }

  /** A sentence in which what stands between backticks is code. */
  function prose(text) {
    return text.split("`").map((part, at) => (at % 2 ? h("code", null, part) : part));
  }

  function when(overview) {
    const parts = [];
    if (overview.started_at) parts.push(h("span", null, "Started ", time(overview.started_at)));
    if (overview.started_at) {
      const end = overview.running ? overview.made_at : overview.ended_at;
      const seconds = (new Date(end) - new Date(overview.started_at)) / 1000;
      if (end && seconds >= 0) parts.push(h("span", null, overview.running ? `running for ${duration(seconds)}` : `took ${duration(seconds)}`));
    }
    parts.push(h("span", null, "as of ", h("time", { datetime: overview.made_at, title: overview.made_at }, dateTime(overview.made_at, overview.running ? { second: "2-digit" } : {}))));
    return h("p.when", null, parts);
  }

  function figure(label, number, unit, note, bar = null, how = "") {
    return h(`div.figure${how ? `.tone-${how}` : ""}`, null, h("h2.label", null, label),
      h("p.number", null, number, unit ? h("small", null, ` ${unit}`) : null), bar, h("p.note", null, note));
  }

  function costFigure({ money, simulated }) {
    const cap = money.max_cost_usd ?? money.budget_usd;
    const refunded = isZero(money.refunded_usd) ? "" : ` · ${usd(String(money.refunded_usd).replace("-", ""))} refunded`;
    const note = cap === null || cap === undefined ? `no cap${refunded}` : `of ${usd(cap)} allowed${refunded}`;
    return figure(simulated ? "Cost (pretend)" : "Cost", usd(money.net_usd), "", note, cap ? share(Number(money.net_usd), Number(cap), Number(money.net_usd) > 0.9 * Number(cap) ? "warn" : "accent", "Share of the cap that is spent") : null);
  }

  function picksFigure({ picks, waiting }) {
    if (!picks || (!picks.keep && !picks.reject && !waiting?.items)) return null;
    return figure("Picks", count(picks.keep), "kept", `${count(picks.reject)} rejected · ${count(picks.unpicked)} not picked`);
  }

  function share(part, whole, how, label) {
    const percent = whole > 0 ? Math.min(100, (part / whole) * 100) : 0;
    const bar = h(`div.share.tone-${how}`, { role: "img", "aria-label": `${label}: ${Math.round(percent)} %` }, h("span"));
    bar.firstChild.style.width = `${percent}%`;
    return bar;
  }

  /** How many items are in which state, as one bar whose parts filter the gallery. */
  function states({ counts, items }, on) {
    const present = batchgen.text.states.filter((state) => counts?.[state]);
    if (present.length < 2 || !items) return null;
    const bar = h("div.state-bar", { "aria-hidden": "true" }, present.map((state) => {
      const part = h(`span.tone-${tone(state)}.state-${state}`);
      part.style.flexGrow = String(counts[state]);
      return part;
    }));
    return h("div.states", null, bar, h("ul.state-list", { "aria-label": "Items by state" }, present.map((state) => h("li", null,
      h(`button.tone-${tone(state)}`, { type: "button", title: `${stateMeaning(state)}; show them`, on: { click: () => on.filter("state", state) } },
        h(`span.dot.state-${state}`, { "aria-hidden": "true" }), h("strong", null, count(counts[state])), " ", stateWord(state))))));
  }

  function next(overview, live) {
    const steps = (overview.next ?? []).filter((step) => !(live && step.command?.startsWith("batchgen view ")));
    if (!steps.length) return null;
    return h("section.next", { "aria-labelledby": "next-title" }, h("h2", { id: "next-title" }, "What to do next"),
      h("ul", null, steps.map((step) => h("li", null, h("span", null, prose(step.text[0].toUpperCase() + step.text.slice(1))),
        step.command ? command(step.command) : null))));
  }

  Object.assign(batchgen, { summary: { drawSummary, makeBar } });
})((globalThis.batchgen ??= {}));
