"use strict";
/*
 * The prompts of a report, searched with its ids. Pure.
 *
 * Both lie in a few long texts: browsers search one of a megabyte in the time that ten thousand short ones take to be
 * looked up, and have no object to keep for each item.
 */
(function (batchgen) {
  /**
   * Return the prompts of items with these ids.
   *
   * `chunks` hold the prompts of equally many items each, but for the last one: {text, ends}, all of them one after the
   * other, and where each ends.
   */
  function makeSearch(chunks, ids) {
    const size = chunks[0]?.ends.length || 1;
    let searched = null; // made when somebody searches: opening must be quick

    function prompt(item) {
      const { text, ends } = chunks[Math.floor(item / size)];
      const at = item % size;
      return text.slice(at ? ends[at - 1] : 0, ends[at]);
    }

    /** Make what is searched; done before somebody searches, where there is time. */
    function prepare() {
      searched ??= chunks.map(({ ends }, number) => {
        const lines = Array.from(ends, (_, at) => {
          const item = number * size + at;
          return `${ids[item]}\n${prompt(item)}\n`.toLowerCase();
        });
        let end = 0;
        return { text: lines.join(""), ends: Int32Array.from(lines, (line) => (end += line.length)) };
      });
    }

    /** Return for each item how many of these words it has; a word is in lower case, and holds no white space. */
    function count(words) {
      prepare();
      const counts = new Uint16Array(ids.length);
      searched.forEach(({ text, ends }, number) => {
        for (const word of words) {
          let at = 0;
          for (let place = text.indexOf(word); place >= 0; place = text.indexOf(word, ends[at])) {
            while (ends[at] <= place) at++;
            counts[number * size + at]++;
          }
        }
      });
      return counts;
    }

    return { count, prepare, prompt };
  }

  Object.assign(batchgen, { makeSearch });
})((globalThis.batchgen ??= {}));
