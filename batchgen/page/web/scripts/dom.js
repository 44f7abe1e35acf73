"use strict";
/* Elements from values. Texts only ever become text nodes and attributes; nothing here parses HTML. */
(function (batchgen) {
  const SVG = "http://www.w3.org/2000/svg";

  /**
   * Make an element: `h("button.quiet", {type: "button", on: {click}}, "Keep")`.
   *
   * Attributes that are null, undefined or false are left out; `on` holds event listeners, `dataset` data attributes.
   * Children may be texts, elements, null and arrays of these.
   */
  function h(selector, attributes, ...children) {
    const [name, ...classes] = selector.split(".");
    const element = document.createElement(name || "div");
    if (classes.length) element.className = classes.join(" ");
    for (const [key, value] of Object.entries(attributes ?? {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "on") {
        for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      } else if (key === "dataset") {
        Object.assign(element.dataset, value);
      } else {
        element.setAttribute(key, value === true ? "" : String(value));
      }
    }
    add(element, children);
    return element;
  }

  function add(element, children) {
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false || child === "") continue;
      element.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }

  /** Put other children into an element. */
  function fill(element, ...children) {
    element.replaceChildren();
    add(element, children);
    return element;
  }

  // Drawn on 16 × 16, as strokes.
  const PATHS = {
    check: "M3 8.5l3.2 3.2L13 4.8",
    cross: "M4 4l8 8M12 4l-8 8",
    star: "M8 1.8l1.9 3.9 4.3.6-3.1 3 .7 4.3L8 11.6l-3.8 2 .7-4.3-3.1-3 4.3-.6z",
    play: "M5 3.2v9.6l8-4.8z",
    flag: "M4 14V2.5h7.5l-1.8 3 1.8 3H4",
    copy: "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
    search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.4 10.4L14 14",
    light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9L13 13M13 3l-1.1 1.1M4.1 11.9L3 13",
    dark: "M13.5 9.8A6 6 0 0 1 6.2 2.5a6 6 0 1 0 7.3 7.3z",
    window: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
    left: "M10 3L5 8l5 5",
    right: "M6 3l5 5-5 5",
    down: "M4 6l4 4 4-4",
    out: "M6.5 3.5h-4v10h10v-4M9.5 2.5h4v4M13 3L7.5 8.5",
    warn: "M8 2L14.5 13.5h-13zM8 6.5v3.2M8 11.5v.3",
    wait: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.2 1.5",
    image: "M2.5 3h11v10h-11zM2.5 11l3.5-3.5 2.5 2.5 2-2 3 3",
    undo: "M5.5 3L2.5 6l3 3M2.5 6H10a3.5 3.5 0 0 1 0 7H6",
    save: "M8 2v8M4.5 6.8L8 10.3l3.5-3.5M2.5 13.5h11",
  };

  /** A small drawing that stands beside words; screen readers pass over it. */
  function icon(name) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("class", `icon icon-${name}`);
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", PATHS[name]);
    svg.append(path);
    return svg;
  }

  /** Text for screen readers alone. */
  function hidden(text) {
    return h("span.visually-hidden", null, text);
  }

  /** Say something to people who use a screen reader. */
  function say(text) {
    document.getElementById("status").textContent = text;
  }

  /** Show a message for some seconds; a problem stays until it is closed. */
  function toast(text, { problem = false } = {}) {
    const box = document.getElementById("toasts");
    if (box.lastChild?.firstChild.textContent === text) return; // it is said already
    const close = h("button.plain", { type: "button", "aria-label": "Close this message" }, icon("cross"));
    const item = h(`div.toast${problem ? ".problem" : ""}`, null, h("span", null, text), close);
    close.addEventListener("click", () => item.remove());
    box.append(item);
    while (box.children.length > 3) box.firstChild.remove();
    if (!problem) setTimeout(() => item.remove(), 4000);
  }

  /** A command that can be copied. */
  function command(text) {
    const button = h("button.copy", { type: "button" }, icon("copy"), hidden("Copy the command"));
    button.addEventListener("click", () => copy(text, button));
    const words = text.split(" ").flatMap((word, place) => [place ? " " : null, h("span.word", null, word)]); // not broken at hyphens
    return h("div.command", null, h("code", null, words), button);
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      toast("The browser does not let this page copy; select the text instead.", { problem: true });
      return;
    }
    say("Copied");
    button.replaceChildren(icon("check"), hidden("Copied"));
    setTimeout(() => button.replaceChildren(icon("copy"), hidden("Copy the command")), 1500);
  }

  /** A time, with its UTC form behind the pointer. */
  function time(iso, more) {
    return iso ? h("time", { datetime: iso, title: iso }, batchgen.text.dateTime(iso, more)) : "–";
  }

  /** A state in words, with its tone as a dot. */
  function statePill(state) {
    return h(`span.pill.tone-${batchgen.text.tone(state)}`, { title: batchgen.text.stateMeaning(state) },
      h("span.dot", { "aria-hidden": "true" }), batchgen.text.stateWord(state));
  }

  Object.assign(batchgen, { dom: { command, copy, fill, h, hidden, icon, say, statePill, time, toast } });
})((globalThis.batchgen ??= {}));
