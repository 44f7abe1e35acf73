"use strict";
/* Puts the page together: data from its source, parts that show them, and the keyboard. */
(function (batchgen) {
  const { h, say, toast } = batchgen.dom;
  const { count, plural } = batchgen.text;
  const { dependsOnPicks, isEmpty, readHash, writeHash } = batchgen.filter;
  const UNDOABLE = 2000; // outputs that "all" may be about and still be taken back
  const SIZES = ["small", "medium", "large"];
  const byId = (id) => document.getElementById(id);

  function remembered(name) {
    try {
      return localStorage.getItem(`batchgen ${name}`);
    } catch {
      return null;
    }
  }

  function remember(name, value) {
    try {
      localStorage.setItem(`batchgen ${name}`, value);
    } catch {
      // Storage is forbidden: the choice lasts as long as the page.
    }
  }

  async function start() {
    byId("loading").hidden = false;
    const source = (globalThis.batchgenSource = batchgen.makeSource());
    let overview = await source.overview();
    let { filter, open } = readHash(location.hash);
    let all = 0; // tiles without a filter
    let opened = -1; // the place of what the detail view shows; -1 where it is not among those shown

    // The parts.
    const theme = makeTheme();
    const bar = batchgen.summary.makeBar(byId("bar"), { on: { keys: batchgen.ask.showKeys, theme: () => theme.toggle() } });
    const filters = batchgen.filters.makeFilterBar({ saves: source.saves, on: { change: setFilter, size: setSize, wide: () => setWide(), all: pickAll, save: savePicks } });
    const empty = h("div.empty", { hidden: true });
    const grid = batchgen.grid.makeGrid({
      load: (offset, limit) => source.tiles(filter, offset, limit),
      overlay: (tile) => picks.overlay(tile),
      on: { open: openPlace, act: (place, act) => act && actOn(grid.tileAt(place), act), changed: gridChanged, failed: (error) => toast(error.message, { problem: true }) },
    });
    const detail = batchgen.detail.makeDetail({ load: source.detail, on: { closed, move: step, open: openOutput, act: actOn } });
    const picks = batchgen.makePicks({
      save: async (lines) => {
        await source.pick(lines);
        await afterPicks();
      },
      show: showPicks,
      complain: (error, number) => toast(`${error.message} ${number === 1 ? "The pick was" : `${count(number)} picks were`} taken back.`, { problem: true }),
    });
    const charts = batchgen.charts.makeCharts(buildParts());
    theme.watch((dark) => {
      bar.theme(dark);
      charts.again();
    });

    function buildParts() {
      byId("gallery").append(h("h2", { id: "gallery-title" }, "Gallery"), filters.element, grid.element, empty,
        h("p.hints", null, ["← →", "move", "Enter", "open", "K", "keep", "X", "reject", "1–5", "rate", "Z", "undo", "?", "all keys"].map((word, at) => (at % 2 ? h("span", null, word) : h("kbd", null, word)))));
      const drawn = h("div.charts");
      byId("money").append(h("h2", { id: "money-title", tabindex: "-1" }, "Money and time"), drawn, h("div.blocks", { id: "money-tables" }));
      byId("problems").append(h("h2", { id: "problems-title", tabindex: "-1" }, "Problems and what to do"), h("div.blocks", { id: "problem-tables" }));
      return drawn;
    }

    const on = { filter: showOnly, open: openOutput };

    function drawTop() {
      bar.draw(overview);
      batchgen.summary.drawSummary(byId("summary"), overview, { on, live: source.live });
    }

    function draw() {
      document.title = `${overview.running ? "▶ " : ""}${overview.run} · batchgen`;
      drawTop();
      filters.offer(overview);
      batchgen.tables.drawMoney(byId("money-tables"), overview, { on });
      batchgen.tables.drawProblems(byId("problem-tables"), overview, { on });
      charts.draw(overview.series);
      batchgen.dom.fill(byId("footer"), source.live ? "Live: this page follows the run. Picks are saved in the run folder."
        : ["A report of batchgen. It needs no network; pictures and videos lie beside it. Picks stay in this browser until you save them: “Save picks…” writes a file for ", h("code", null, `batchgen picks ${overview.run} --import FILE`), "."]);
    }

    // The filter, and what the address says.
    function setFilter(next) {
      filter = next;
      noteHash();
      return grid.restart();
    }

    function showOnly(name, value) {
      filters.set({ ...batchgen.filter.emptyFilter(), [name]: [value] });
      setFilter({ ...batchgen.filter.emptyFilter(), [name]: [value] });
      byId("gallery").scrollIntoView();
    }

    function noteHash() {
      const hash = writeHash(filter, detail.tile);
      if (hash !== location.hash) history.replaceState(null, "", hash || location.pathname + location.search);
    }

    addEventListener("hashchange", () => {
      const said = readHash(location.hash);
      if (writeHash(said.filter, null) !== writeHash(filter, null)) {
        filters.set(said.filter);
        filter = said.filter;
        grid.restart();
      }
      if (said.open) openOutput(said.open.key, said.open.n);
      else detail.close();
    });

    function gridChanged() {
      if (isEmpty(filter)) all = grid.total;
      filters.say(grid.total, Math.max(all, grid.total), overview.outputs);
      const nothing = grid.total === 0;
      grid.element.hidden = nothing;
      empty.hidden = !nothing;
      if (nothing) drawEmpty();
    }

    function drawEmpty() {
      const words = !isEmpty(filter) ? ["Nothing matches.", "No output fits all of these filters."]
        : overview.items === 0 ? ["No items.", "This run has no items yet."] : ["Nothing yet.", "Outputs appear here as soon as they are made."];
      batchgen.dom.fill(empty, h("strong", null, words[0]), h("span", null, words[1]), isEmpty(filter) ? null
        : h("button.quiet", { type: "button", on: { click: () => { filters.set(batchgen.filter.emptyFilter()); setFilter(batchgen.filter.emptyFilter()); } } }, "Clear all filters"));
    }

    // The detail view.
    async function openPlace(place) {
      const tile = await grid.tile(place);
      if (!tile) return;
      grid.activate(place, { focus: !detail.tile });
      opened = place;
      detail.show(tile, place, grid.total);
      noteHash();
    }

    async function openOutput(key, n) {
      const near = grid.placeIn({ key, n });
      const place = near >= 0 ? near : await source.placeOf(filter, key, n);
      if (place >= 0) return openPlace(place);
      const found = await source.detail(key);
      if (!found) return toast("This item is not in the run any more.", { problem: true });
      const output = (found.outputs ?? []).find((other) => other.n === n) ?? found.outputs?.[0];
      const none = { key, n: 0, of: 0, id: found.id, state: found.state, model: found.model, kind: "", file: "", thumb: "", sha256: "", flags: [], pick: "", rating: 0, reason: "", prompt: found.prompt, error: found.reason ?? "" };
      opened = -1;
      detail.show(output ? { ...none, ...output, of: found.outputs.length } : none, -1, grid.total);
      noteHash();
      return undefined;
    }

    function step(by) {
      const place = grid.placeIn(detail.tile);
      // One that the filter shows no longer, since it was picked, has left its place to the next one.
      const to = place >= 0 ? place + by : by > 0 ? opened : opened - 1;
      if (opened >= 0) openPlace(Math.min(Math.max(to, 0), grid.total - 1));
    }

    function closed() {
      noteHash();
      grid.activate(opened >= 0 ? opened : grid.active); // the browser gives the focus back to where it was before
    }

    // Picks.
    const current = () => detail.tile ?? grid.tileAt(grid.active);

    function showPicks(lines) {
      grid.patch(lines);
      lines.forEach((line) => detail.patch(line));
    }

    async function actOn(tile, act, value) {
      if (!tile) return;
      if (!tile.n) {
        toast("There is no output yet that could be picked.");
        return;
      }
      const title = batchgen.tile.title(tile);
      if (act === "keep") picks.set([tile], { pick: "keep", reason: "" });
      else if (act === "unpick") picks.set([tile], { pick: "", reason: "" });
      else if (act === "rate") picks.set([tile], { rating: value });
      else if (act === "reject") {
        const reason = await batchgen.ask.askReason(title);
        if (reason === null) return;
        picks.set([tile], { pick: "reject", reason });
      }
      say({ keep: `Kept ${title}`, reject: `Rejected ${title}`, unpick: `${title} is not picked any more`, rate: value ? `${title}: ${plural(value, "star")}` : `${title}: no rating` }[act]);
    }

    /** In the viewer the server tells of picks as of any other change. */
    async function afterPicks() {
      if (source.live) return;
      overview = await source.overview();
      drawTop();
      if (dependsOnPicks(filter)) await grid.refresh();
    }

    let savingAll = Promise.resolve();

    /** Take back the last step; one that is still being saved is waited for, so that it is the last one. */
    async function undo() {
      await savingAll;
      const number = picks.undo();
      const text = number ? `Taken back for ${plural(number, "output")}` : "Nothing to undo";
      if (number > 1 || !number) toast(text);
      say(text);
    }

    async function pickAll() {
      const wanted = filter;
      const undoable = grid.total <= UNDOABLE;
      try {
        const before = undoable ? (await everything(wanted, grid.total)).filter(({ n }) => n > 0) : [];
        const number = undoable ? before.length : grid.total;
        if (!number) {
          toast("There is no output here that could be picked.");
          return;
        }
        const choice = await batchgen.ask.askAll(number, { undoable, filtered: !isEmpty(wanted) });
        if (!choice) return;
        const saving = source.pickAll(wanted, { ...choice, most: number });
        const noted = saving.then(() => {
          const given = Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== null));
          if (undoable) picks.note(before.map(line), before.map((tile) => ({ ...line(tile), ...given })));
        });
        savingAll = noted.catch(() => {}); // told below
        await noted;
        const { picked } = await saving;
        const done = { keep: "kept", reject: "rejected", "": "no longer picked" }[choice.pick] ?? (choice.rating ? "rated" : "no longer rated");
        toast(`${plural(picked, "output")} ${done}.${undoable ? " Z takes it back." : ""}`);
        await afterPicks();
        await grid.refresh();
      } catch (error) {
        toast(error.message, { problem: true });
      }
    }

    const line = ({ key, n, id, sha256, pick, rating, reason }) => ({ key, n, id, sha256, pick, rating, reason });

    async function everything(wanted, number) {
      const found = [];
      while (found.length < number) {
        const { tiles } = await source.tiles(wanted, found.length, 500);
        if (!tiles.length) break;
        found.push(...tiles);
      }
      return found;
    }

    function savePicks() {
      if (!source.picked()) {
        toast("Nothing was picked in this browser yet: K keeps an output, X rejects it.");
        return;
      }
      const url = URL.createObjectURL(new Blob([source.picksFile()], { type: "text/csv;charset=utf-8" }));
      const name = `${overview.run}-picks.csv`;
      const link = h("a", { href: url, download: name });
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
      toast(`${plural(source.picked(), "pick")} saved. Bring them into the run with: batchgen picks ${overview.run} --import ${name}`);
    }

    // How it looks.
    function setSize(name) {
      grid.setSize(name);
      filters.sizes(name);
      remember("size", name);
    }

    function setWide(wanted) {
      const is = wanted ?? !document.body.classList.contains("wide");
      document.body.classList.toggle("wide", is);
      filters.wide(is);
      grid.activate(grid.active);
    }

    // The keyboard.
    document.addEventListener("keydown", (event) => {
      const target = event.target instanceof Element ? event.target : document.body;
      const action = batchgen.keys.actionOf(event, {
        detail: detail.element.open,
        typing: target.matches("input:not([type=checkbox]), textarea, select") || target.closest(".options") !== null,
        inGrid: grid.element.contains(target),
        control: target.closest("a, button, summary, input, video, [tabindex='0']") !== null && !grid.element.contains(target),
        video: target.matches("video"),
      });
      if (!action) {
        if (event.key === "Escape" && target.id === "search") grid.activate(grid.active);
        return;
      }
      if (doAction(action) !== false) event.preventDefault();
    });

    function doAction({ action, by, rating, to }) {
      switch (action) {
        case "keys": batchgen.ask.showKeys(); break;
        case "undo": undo(); break;
        case "keep": case "reject": case "unpick": actOn(current(), action); break;
        case "rate": actOn(current(), "rate", rating); break;
        case "search": filters.focus(); break;
        case "all": pickAll(); break;
        case "wide": setWide(); break;
        case "escape": if (!document.body.classList.contains("wide")) return false; setWide(false); break;
        case "size": setSize(SIZES[Math.min(2, Math.max(0, (grid.size === "auto" ? 1 : SIZES.indexOf(grid.size)) + by))]); break;
        case "enter": grid.activate(grid.active); break;
        case "move": grid.activate(batchgen.keys.target(to, { active: grid.active, total: grid.total, columns: grid.columns, rows: grid.rowsInSight })); break;
        case "open": openPlace(grid.active); break;
        case "step": step(by); break;
        case "play": return detail.togglePlay();
        default: return false;
      }
      return true;
    }

    // What changes while the page is open.
    let due = { overview: false, grid: false };
    let busy = null;
    source.onChange(({ connected, keys, overview: sums }) => {
      if (connected !== undefined) bar.connected(connected);
      due = { overview: due.overview || sums, grid: due.grid || keys === null || keys?.length > 0 };
      busy ??= catchUp().finally(() => (busy = null));
    });

    async function catchUp() {
      while (due.overview || due.grid) {
        const now = due;
        due = { overview: false, grid: false };
        try {
          if (now.overview) {
            overview = await source.overview();
            draw();
          }
          if (now.grid) await grid.refresh();
        } catch (error) {
          bar.connected(false);
          say(error.message);
        }
        await new Promise((resolve) => setTimeout(resolve, 400));
      }
    }

    // The first look.
    const size = remembered("size");
    filters.sizes(SIZES.includes(size) ? size : "auto");
    byId("main").hidden = false;
    byId("loading").hidden = true;
    filters.set(filter);
    draw();
    if (SIZES.includes(size)) grid.setSize(size);
    await grid.restart();
    all = isEmpty(filter) ? grid.total : (await source.tiles(batchgen.filter.emptyFilter(), 0, 1)).total;
    gridChanged();
    if (open) openOutput(open.key, open.n);
    document.documentElement.dataset.ready = "true";
  }

  /** Light or dark: as the system has it, unless the reader chose. */
  function makeTheme() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const watchers = [];
    let chosen = remembered("theme");
    const print = matchMedia("print"); // paper is white
    const dark = () => !print.matches && (chosen ? chosen === "dark" : system.matches);
    function apply() {
      document.documentElement.dataset.theme = dark() ? "dark" : "light";
      watchers.forEach((watcher) => watcher(dark()));
    }
    system.addEventListener("change", apply);
    print.addEventListener("change", apply);
    apply();
    return {
      toggle() {
        chosen = dark() ? "light" : "dark";
        remember("theme", chosen);
        apply();
      },
      watch: (watcher) => {
        watchers.push(watcher);
        watcher(dark());
      },
    };
  }

  start().catch((error) => {
    byId("loading").hidden = false;
    byId("loading").textContent = `This page cannot be shown: ${error.message}`;
  });
})((globalThis.batchgen ??= {}));
