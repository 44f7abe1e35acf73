"use strict";
/* What the keyboard does. Pure: a key press becomes the name of an action. */
(function (batchgen) {
  const PICKS = { k: "keep", x: "reject", u: "unpick" };
  const MOVES = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", Home: "home", End: "end", PageUp: "pageUp", PageDown: "pageDown" };

  /**
   * Return what a key does: {action, ...}, or null.
   *
   * `where` says what is open and what has the focus: {detail, typing, inGrid, control}.
   */
  function actionOf(event, where) {
    if (event.ctrlKey || event.metaKey || event.altKey || where.typing) return null;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "?") return { action: "keys" };
    if (key === "z") return { action: "undo" };
    const pick = PICKS[key] ? { action: PICKS[key] } : /^[0-5]$/.test(key) ? { action: "rate", rating: Number(key) } : null;
    // Nobody picks what they do not see marked: elsewhere such a key only leads into the grid.
    if (pick) return where.detail || where.inGrid ? pick : where.control ? null : { action: "enter" };
    if (where.detail) return inDetail(key, where);
    if (key === "/") return { action: "search" };
    if (key === "a") return { action: "all" };
    if (key === "f") return { action: "wide" };
    if (key === "+" || key === "=") return { action: "size", by: 1 };
    if (key === "-") return { action: "size", by: -1 };
    if (key === "Escape") return { action: "escape" };
    if (MOVES[key] && (where.inGrid || !where.control)) return where.inGrid ? { action: "move", to: MOVES[key] } : enter(key);
    if ((key === "Enter" || key === " ") && where.inGrid) return { action: "open" };
    return null;
  }

  /** Outside the grid only the arrows sideways lead into it: the others scroll the page. */
  function enter(key) {
    return key === "ArrowLeft" || key === "ArrowRight" ? { action: "enter" } : null;
  }

  function inDetail(key, where) {
    if (where.video && (key === "ArrowLeft" || key === "ArrowRight" || key === " ")) return null; // it seeks and plays
    if (key === "ArrowLeft") return { action: "step", by: -1 };
    if (key === "ArrowRight") return { action: "step", by: 1 };
    if (key === " " && !where.control) return { action: "play" };
    return null;
  }

  /** The place that a movement leads to in a grid. */
  function target(to, { active, total, columns, rows }) {
    const places = {
      left: active - 1, right: active + 1, up: active - columns, down: active + columns, home: 0, end: total - 1,
      pageUp: active - columns * rows, pageDown: active + columns * rows,
    };
    const place = places[to];
    if (to === "up" || to === "down") {
      if (place < 0) return active;
      // Down from the last but one row leads into a last row that is shorter.
      const lastRow = Math.floor((total - 1) / columns);
      return place < total ? place : Math.floor(active / columns) < lastRow ? total - 1 : active;
    }
    return Math.min(Math.max(place, 0), total - 1);
  }

  Object.assign(batchgen, { keys: { actionOf, target } });
})((globalThis.batchgen ??= {}));
