"use strict";
/* Scrolling through more than a browser can make tall. Pure. */
(function (batchgen) {
  const TALLEST = 8_000_000; // pixels; browsers stop between 17 and 33 millions

  /**
   * Return what maps a scroll position to a place in content that may be taller than the scrolled element.
   *
   * Small movements are taken as they are; a jump (the scroll bar) goes to the same share of the whole.
   */
  function makeScale() {
    let [total, view, top, shift] = [0, 0, 0, 0];
    const height = () => Math.min(total, TALLEST);
    const furthest = () => Math.max(0, total - view);
    const ratio = () => (furthest() === 0 ? 1 : Math.max(1, height() - view) / furthest());
    const clamp = (place) => Math.min(Math.max(place, 0), furthest());

    function resize(newTotal, newView) {
      [total, view] = [newTotal, newView];
      if (total <= TALLEST) shift = 0;
      return height();
    }

    /** Go to a place; returns the scroll position that belongs to it. */
    function go(place) {
      const to = clamp(place);
      top = total <= TALLEST ? to : Math.round(to * ratio());
      shift = to - top;
      return top;
    }

    /** Follow a scroll position; returns the place. */
    function follow(newTop) {
      if (total <= TALLEST) {
        shift = 0;
      } else if (Math.abs(newTop - top) > view * 2) {
        shift = newTop / ratio() - newTop;
      }
      top = newTop;
      return clamp(top + shift);
    }

    return {
      follow, go, resize,
      /** How much further the content is than the scroll position. */
      shift: () => shift,
      place: () => clamp(top + shift),
      /** Whether the scroll position has drifted from its share of the whole, and should be set anew when at rest. */
      drifted: () => total > TALLEST && Math.abs(top - Math.round(clamp(top + shift) * ratio())) > 1,
    };
  }

  Object.assign(batchgen, { scroll: { makeScale, TALLEST } });
})((globalThis.batchgen ??= {}));
