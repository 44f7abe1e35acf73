"use strict";
/* The gallery's grid: however many tiles there are, only those in sight are in the page. */
(function (batchgen) {
  const { h } = batchgen.dom;
  const PAGE = 100; // tiles that are asked for at a time
  const PAGES = 40; // pages that are kept
  const GAP = 12;
  const CAPTION = 50;
  const OVERSCAN = 2; // rows above and below what is in sight
  const MOST_ROWS = 40; // at a time: on paper, all would be in sight
  const SIZES = { small: 130, medium: 200, large: 320 };

  /** Few outputs are shown larger: there is room for them. */
  function narrowest(size, total) {
    if (SIZES[size]) return SIZES[size];
    return total <= 3 ? 340 : total <= 15 ? 260 : 200;
  }

  /** How a width is divided: {columns, width of a cell, height of a row}. */
  function layout(width, size, total) {
    const narrow = Math.min(narrowest(size, total), width < 520 ? (width - GAP) / 2 : Infinity);
    const columns = Math.max(1, Math.floor((width + GAP) / (narrow + GAP)));
    const cell = (width - GAP * (columns - 1)) / columns;
    return { columns, cell, row: Math.round(cell + CAPTION + GAP) };
  }

  /**
   * Return the grid. `load(offset, limit)` brings {total, tiles}; `overlay(tile)` is asked before a tile is shown;
   * `on` holds open(place), act(place, "keep" | "reject"), changed() and failed(error).
   */
  function makeGrid({ load, overlay, on }) {
    const grid = h("div.grid", { role: "grid", "aria-label": "Outputs", "aria-multiselectable": "false" });
    const box = h("div.grid-box", null, grid);
    const scale = batchgen.scroll.makeScale();
    const rows = new Map(); // elements, by row number
    let pages = new Map(); // arrays of tiles, or promises of them, by page number
    let [total, active, size, edition] = [0, 0, "auto", 0];
    let identity = null; // of the active tile: it stays the same while others come and go
    let shape = { columns: 1, cell: 0, row: 1 };
    let rest = 0;

    function tileAt(place) {
      const page = pages.get(Math.floor(place / PAGE));
      const tile = Array.isArray(page) ? page[place % PAGE] : undefined;
      return tile && overlay(tile);
    }

    function ensure(number) {
      if (pages.has(number)) return;
      const wanted = edition;
      const promise = load(number * PAGE, PAGE).then((answer) => {
        if (wanted !== edition) return;
        pages.set(number, answer.tiles);
        if (answer.total !== total) setTotal(answer.total);
        forget();
        render();
        on.changed();
      }, (error) => {
        if (wanted !== edition) return;
        pages.delete(number);
        on.failed(error);
      });
      pages.set(number, promise);
    }

    function forget() {
      const near = Math.floor((first() * shape.columns) / PAGE);
      const far = [...pages.keys()].sort((a, b) => Math.abs(b - near) - Math.abs(a - near));
      for (const number of far.slice(0, Math.max(0, pages.size - PAGES))) pages.delete(number);
    }

    const first = () => Math.floor(scale.place() / shape.row);
    const last = () => Math.min(Math.ceil(total / shape.columns) - 1, Math.floor((scale.place() + box.clientHeight) / shape.row));

    function setTotal(number) {
      total = number;
      active = Math.min(active, Math.max(0, total - 1));
      measure();
    }

    function measure() {
      const width = grid.clientWidth;
      if (!width) return;
      shape = layout(width, size, total);
      const lines = Math.ceil(total / shape.columns);
      grid.style.setProperty("--columns", shape.columns);
      grid.style.setProperty("--cell", `${shape.cell}px`);
      const height = Math.max(0, lines * shape.row - GAP);
      box.classList.toggle("whole", height <= globalThis.innerHeight); // or the end of its last row would be hidden
      grid.style.height = `${scale.resize(height, box.clientHeight)}px`;
      scale.resize(height, box.clientHeight); // the box may have grown with it
      grid.setAttribute("aria-rowcount", lines);
      grid.setAttribute("aria-colcount", shape.columns);
    }

    function render() {
      if (!grid.clientWidth) return;
      const wanted = new Set();
      for (let row = Math.max(0, first() - OVERSCAN); row <= Math.min(last() + OVERSCAN, first() + MOST_ROWS); row++) wanted.add(row);
      const activeRow = Math.floor(active / shape.columns);
      if (grid.contains(document.activeElement)) wanted.add(activeRow); // or the focus would be lost
      for (const [row, element] of rows) {
        if (!wanted.has(row) || row * shape.columns >= total) {
          element.remove();
          rows.delete(row);
        }
      }
      for (const row of [...wanted].sort((a, b) => a - b)) if (row * shape.columns < total) renderRow(row);
    }

    function renderRow(row) {
      let element = rows.get(row);
      if (!element) {
        element = h("div.row", { role: "row" });
        rows.set(row, element);
        const after = [...rows.keys()].filter((other) => other > row);
        grid.insertBefore(element, after.length ? rows.get(Math.min(...after)) : null);
      }
      element.setAttribute("aria-rowindex", row + 1);
      element.style.transform = `translateY(${row * shape.row - scale.shift()}px)`;
      const cells = Math.min(shape.columns, total - row * shape.columns);
      while (element.children.length > cells) element.lastChild.remove();
      for (let column = 0; column < cells; column++) {
        const place = row * shape.columns + column;
        const cell = element.children[column] ?? element.appendChild(h("div.cell", { role: "gridcell" }));
        ensure(Math.floor(place / PAGE));
        cell.dataset.place = place;
        cell.setAttribute("aria-colindex", column + 1);
        cell.tabIndex = place === active ? 0 : -1;
        batchgen.tile.fillCell(cell, tileAt(place));
        cell.classList.toggle("active", place === active);
      }
    }

    function cellOf(place) {
      return rows.get(Math.floor(place / shape.columns))?.children[place % shape.columns] ?? null;
    }

    function scrollTo(place) {
      box.scrollTop = scale.go(place);
      render();
    }

    /** Make a place the active one, in sight; `focus` moves the keyboard's focus to it. */
    function activate(place, { focus = true } = {}) {
      if (!total) return;
      active = Math.min(Math.max(place, 0), total - 1);
      identity = null;
      const top = Math.floor(active / shape.columns) * shape.row;
      const bottom = top + shape.row - GAP;
      if (top < scale.place()) scrollTo(top);
      else if (bottom > scale.place() + box.clientHeight) scrollTo(bottom - box.clientHeight);
      else render();
      remember();
      const cell = cellOf(active);
      if (focus && cell) {
        cell.focus({ preventScroll: true });
        cell.scrollIntoView({ block: "nearest" });
      }
      on.changed();
    }

    function remember() {
      const tile = tileAt(active);
      if (tile) identity = { key: tile.key, n: tile.n };
    }

    /** Look at everything from the start: another filter. */
    async function restart() {
      edition += 1;
      const wanted = edition;
      try {
        const answer = await load(0, PAGE);
        if (wanted !== edition) return;
        [active, identity] = [0, null];
        pages = new Map([[0, answer.tiles]]);
        setTotal(answer.total);
        scrollTo(0);
        remember();
        on.changed();
      } catch (error) {
        if (wanted === edition) on.failed(error);
      }
    }

    /** Look again at what is in sight, and keep it where it is though others came or went before it. */
    async function refresh() {
      edition += 1;
      const wanted = edition;
      const anchor = Math.min(first() * shape.columns, Math.max(0, total - 1));
      const [anchored, offset] = [tileAt(anchor), scale.place() - first() * shape.row];
      const numbers = new Set([Math.floor(active / PAGE)]);
      for (let place = anchor; place <= (last() + 1) * shape.columns; place += PAGE) numbers.add(Math.floor(place / PAGE));
      numbers.add(Math.floor(Math.max(0, Math.min((last() + 1) * shape.columns, total - 1)) / PAGE));
      try {
        const answers = await Promise.all([...numbers].map((number) => load(number * PAGE, PAGE)));
        if (wanted !== edition) return;
        const focused = grid.contains(document.activeElement);
        pages = new Map([...numbers].map((number, at) => [number, answers[at].tiles]));
        const found = anchored ? placeIn(anchored) : -1;
        const moved = identity ? placeIn(identity) : -1;
        if (moved >= 0) active = moved;
        setTotal(answers[0].total);
        if (found >= 0 && found !== anchor) scrollTo(Math.floor(found / shape.columns) * shape.row + offset);
        else render();
        remember();
        if (focused) cellOf(active)?.focus({ preventScroll: true });
        on.changed();
      } catch (error) {
        if (wanted === edition) on.failed(error);
      }
    }

    /** Where an output stands among the tiles that are known; -1 if it is not. */
    function placeIn({ key, n }) {
      for (const [number, tiles] of pages) {
        if (!Array.isArray(tiles)) continue;
        const at = tiles.findIndex((tile) => tile.key === key && tile.n === n);
        if (at >= 0) return number * PAGE + at;
      }
      return -1;
    }

    /** Change tiles that are known: lines with key and n, and what is new of them. */
    function patch(lines) {
      for (const given of lines) {
        const place = placeIn(given);
        if (place < 0) continue;
        const page = pages.get(Math.floor(place / PAGE));
        page[place % PAGE] = { ...page[place % PAGE], ...given };
      }
      render();
      on.changed();
    }

    box.addEventListener("scroll", () => {
      scale.follow(box.scrollTop);
      render();
      clearTimeout(rest);
      rest = setTimeout(() => {
        if (scale.drifted()) scrollTo(scale.place());
      }, 200);
    }, { passive: true });
    grid.addEventListener("click", (event) => {
      const cell = event.target.closest(".cell");
      if (!cell) return;
      const [place, act] = [Number(cell.dataset.place), event.target.closest("[data-act]")?.dataset.act];
      activate(place);
      if (act) on.act(place, act);
      else on.open(place);
    });
    grid.addEventListener("focusin", (event) => {
      const cell = event.target.closest(".cell");
      if (cell && Number(cell.dataset.place) !== active) activate(Number(cell.dataset.place), { focus: false });
    });
    new ResizeObserver(() => {
      const place = first() * shape.columns;
      const columns = shape.columns;
      measure();
      if (columns !== shape.columns) scrollTo(Math.floor(place / shape.columns) * shape.row);
      else render();
    }).observe(box);

    return {
      element: box, activate, patch, refresh, restart, tileAt, placeIn, render,
      get total() { return total; },
      get active() { return active; },
      get columns() { return shape.columns; },
      get rowsInSight() { return Math.max(1, Math.floor(box.clientHeight / shape.row)); },
      get size() { return size; },
      setSize(name) {
        const place = active;
        size = name;
        measure();
        for (const element of rows.values()) element.remove();
        rows.clear();
        render();
        activate(place, { focus: false });
      },
      /** The tile at a place, loaded if need be; null if there is none. */
      async tile(place) {
        if (place < 0 || place >= total) return null;
        ensure(Math.floor(place / PAGE));
        await pages.get(Math.floor(place / PAGE));
        return tileAt(place) ?? null;
      },
    };
  }

  Object.assign(batchgen, { grid: { layout, makeGrid } });
})((globalThis.batchgen ??= {}));
