"use strict";
/* Numbers, money, times and states as people read them. Pure: nothing here touches the page. */
(function (batchgen) {
  /** A decimal text in USD as `$1,234.50`: at least `places` digits after the point, none of the others lost. */
  function usd(amount, places = 2) {
    if (amount === null || amount === undefined || amount === "") return "unknown";
    const negative = String(amount).startsWith("-");
    const [whole, fraction = ""] = String(amount).replace("-", "").split(".");
    const digits = fraction.replace(/0+$/, "").padEnd(places, "0");
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return `${negative ? "−" : ""}$${grouped}.${digits}`;
  }

  /** How many digits after the point some decimal texts need, so that they align in a column. */
  function decimals(amounts) {
    return Math.max(2, ...amounts.map((amount) => (String(amount ?? "").split(".")[1] ?? "").replace(/0+$/, "").length));
  }

  /** Whether a decimal text is zero. */
  function isZero(amount) {
    return !amount || /^-?0*\.?0*$/.test(String(amount));
  }

  /** Whole numbers with thousands separators. */
  function count(number) {
    return Math.round(number ?? 0).toLocaleString("en-US");
  }

  /** `1 item`, `2 items`; irregular plurals are given. */
  function plural(number, word, words = `${word}s`) {
    return `${count(number)} ${number === 1 ? word : words}`;
  }

  function bytes(size) {
    if (!size) return "0 B";
    const units = ["B", "kB", "MB", "GB", "TB"];
    const step = Math.min(Math.floor(Math.log10(size) / 3), units.length - 1);
    const value = size / 1000 ** step;
    return `${step && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
  }

  /** Seconds as `35 ms`, `0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
  function duration(seconds) {
    if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
    if (seconds > 0 && seconds < 0.0995) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
    if (seconds < 9.95) return `${Number(seconds.toFixed(1))} s`;
    const whole = Math.round(seconds);
    if (whole < 60) return `${whole} s`;
    const pair = (big, unit, small, rest) => (small ? `${big} ${unit} ${small} ${rest}` : `${big} ${unit}`);
    if (whole < 3600) return pair(Math.floor(whole / 60), "min", whole % 60, "s");
    const minutes = Math.round(whole / 60);
    if (minutes < 1440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
    const hours = Math.round(whole / 3600);
    return pair(Math.floor(hours / 24), "d", hours % 24, "h");
  }

  /** The length of a video as players show it: `0:05`, `1:02:03`. */
  function clock(seconds) {
    const whole = Math.max(0, Math.round(seconds ?? 0));
    const two = (number) => String(number).padStart(2, "0");
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
  }

  const WHEN = { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

  /** A time in UTC as it is for the reader, where they are. */
  function dateTime(iso, more = {}) {
    const at = new Date(iso);
    if (!iso || Number.isNaN(at.getTime())) return "–";
    return at.toLocaleString("en-GB", { ...WHEN, ...more });
  }

  /** By state, from good to bad: what it is called, what it means, its tone (good, live, calm, warn, bad). */
  const STATES = {
    done: ["done", "on disk, whole and checked", "good"],
    ready: ["ready", "made, not yet downloaded", "live"],
    processing: ["processing", "the API works on it", "live"],
    submitting: ["submitting", "the request is on its way", "live"],
    pending: ["pending", "not bought yet", "calm"],
    skipped: ["skipped", "needs an item that did not succeed", "calm"],
    in_doubt: ["in doubt", "may have been charged; no job id came back", "warn"],
    failed: ["failed", "the API could not make it, and refunded it", "bad"],
    rejected: ["rejected", "the API refused the request; nothing was charged", "bad"],
    lost: ["lost", "paid for, and no longer at the API", "bad"],
  };

  function stateWord(state) {
    return STATES[state]?.[0] ?? String(state);
  }

  function stateMeaning(state) {
    return STATES[state]?.[1] ?? "";
  }

  function tone(state) {
    return STATES[state]?.[2] ?? "calm";
  }

  /** A path below the run folder as an address relative to the page, each part encoded. */
  function address(path) {
    return String(path).split("/").map(encodeURIComponent).join("/");
  }

  /** Where the thumbnail of a file lies, by the file's SHA-256. */
  function thumbPath(sha256) {
    return sha256 ? `thumbs/${sha256.slice(0, 2)}/${sha256}.webp` : "";
  }

  /** A parameter's value as text. */
  function value(given) {
    return typeof given === "string" ? given : JSON.stringify(given, null, 1);
  }

  /** What a model is called beside its outputs: without its version and the kind that everybody sees. */
  function shortModel(name) {
    return String(name).replace(/-\d+(\.\d+)*-/, " ").replace(/-/g, " ");
  }

  Object.assign(batchgen, {
    text: {
      address, bytes, clock, count, dateTime, decimals, duration, isZero, plural, shortModel, stateMeaning, stateWord,
      states: Object.keys(STATES), thumbPath, tone, usd, value,
    },
  });
})((globalThis.batchgen ??= {}));
