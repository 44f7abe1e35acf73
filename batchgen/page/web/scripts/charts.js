"use strict";
/* What happened over time, drawn by uPlot; each drawing has a table beside it that says the same. */
(function (batchgen) {
  const { h } = batchgen.dom;
  const { count, dateTime, duration } = batchgen.text;
  const HEIGHT = 220;
  const WHOLE = [1, 2, 5].flatMap((step) => [1, 10, 100, 1000, 10_000].map((ten) => step * ten)).sort((a, b) => a - b);

  const money = (amount) => (amount === null || amount === undefined ? "–" : `$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: amount < 1 ? 4 : 2 })}`);
  const seconds = (amount) => (amount === null || amount === undefined ? "–" : duration(amount));
  const jobs = (amount) => (amount === null || amount === undefined ? "–" : count(amount));

  /** The drawings that a run's data allow. */
  function drawings({ cost, in_flight: flight, lag }) {
    const found = [];
    if (cost?.t?.length > 1) {
      const capped = cost.cap !== null && cost.cap !== undefined;
      found.push({
        id: "cost", title: capped ? "Cost against the cap" : "Cost", least: 0.01, say: money, columns: ["Cost", ...(capped ? ["Cap"] : [])],
        data: [cost.t, cost.net, ...(capped ? [cost.t.map(() => cost.cap)] : [])],
        series: [{ label: "Cost", stroke: "accent", fill: "accent-soft", stepped: true }, ...(capped ? [{ label: "Cap", stroke: "bad", dash: [6, 5] }] : [])],
      });
    }
    if (flight?.t?.length > 1) {
      found.push({ id: "in-flight", title: "Jobs in flight", least: 1, whole: true, say: jobs, columns: ["Jobs"], data: [flight.t, flight.jobs], series: [{ label: "Jobs", stroke: "accent", fill: "accent-soft", stepped: true }] });
    }
    if (lag?.t?.length > 1) {
      found.push({
        id: "lag", title: lag.title ?? "Lag: from the end of a job until it was known here", least: 1, say: seconds, columns: ["Median", "Worst"], data: [lag.t, lag.median_s, lag.worst_s],
        series: [{ label: "Median", stroke: "accent", fill: "accent-soft" }, { label: "Worst", stroke: "muted", dash: [3, 3] }],
      });
    }
    return found;
  }

  function colours() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

  function options(drawing, width, legend) {
    const colour = colours();
    const axis = { stroke: colour("muted"), font: `12px ${colour("font")}`, ticks: { show: false }, grid: { stroke: colour("line"), width: 1 } };
    return {
      width, height: HEIGHT, legend: { show: false }, cursor: { points: { size: 7 }, y: false, drag: { x: false, y: false } }, padding: [12, 8, 0, 0],
      scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max((high || 0) * 1.08, drawing.least)] } },
      axes: [
        { ...axis, grid: { show: false }, space: 72, values: (plot, at) => clockLabels(at, plot.scales.x.max - plot.scales.x.min) },
        { ...axis, size: 64, incrs: drawing.whole ? WHOLE : undefined, values: (_, at) => at.map(drawing.say) },
      ],
      series: [{}, ...drawing.series.map((series) => ({
        label: series.label, stroke: colour(series.stroke), width: 1.75, dash: series.dash, fill: series.fill && colour(series.fill), points: { show: false }, spanGaps: true,
        paths: series.stepped ? globalThis.uPlot.paths.stepped({ align: 1 }) : undefined,
      }))],
      hooks: { setCursor: [(plot) => readOut(plot, drawing, legend)] },
    };
  }

  /** What stands below the places of an axis; within a second, once. */
  function clockLabels(all, span) {
    const labels = all.map((moment, place) => clockLabel(moment, all, place, span));
    return labels.map((label, place) => (label === labels[place - 1] ? "" : label));
  }

  function clockLabel(moment, all, place, span) {
    const at = new Date(moment * 1000);
    const text = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(span < 300 ? { second: "2-digit" } : {}) });
    const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    if (span > 5 * 86400) return day;
    const before = place ? new Date(all[place - 1] * 1000).toDateString() : null;
    return before !== null && before !== at.toDateString() ? `${text}\n${day}` : text;
  }

  /** Say beside the title what is under the pointer, or the last values. */
  function readOut(plot, drawing, legend) {
    const at = plot.cursor.idx ?? drawing.data[0].length - 1;
    const values = drawing.series.map((series, place) => [h(`span.key.key-${series.stroke}`, { "aria-hidden": "true" }), `${series.label} `, h("strong", null, drawing.say(drawing.data[place + 1][at]))]);
    const moment = plot.cursor.idx === null || plot.cursor.idx === undefined ? null : h("span.muted", null, dateTime(new Date(drawing.data[0][at] * 1000).toISOString(), { year: undefined, second: "2-digit" }));
    batchgen.dom.fill(legend, values.map((value) => h("span", null, value)), moment);
  }

  /** The same as a table; long ones are thinned out to what can be read. */
  function table(drawing) {
    const [times] = drawing.data;
    const step = Math.max(1, Math.ceil(times.length / 60));
    const rows = times.map((_, at) => at).filter((at) => at % step === 0 || at === times.length - 1);
    return h("details.as-table", null, h("summary", null, "Show as table"), h("div.table-box", { tabindex: "0", role: "region", "aria-label": `${drawing.title}, as a table` }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Time"), drawing.columns.map((name) => h("th.money", { scope: "col" }, name)))),
      h("tbody", null, rows.map((at) => h("tr", null, h("th", { scope: "row" }, dateTime(new Date(times[at] * 1000).toISOString(), { second: "2-digit" })),
        drawing.data.slice(1).map((values) => h("td.money", null, drawing.say(values[at])))))))));
  }

  /** Return what draws the charts into an element, and again when data, size or colours change. */
  function makeCharts(element) {
    const shown = new Map(); // by id: {figure, box, legend, plot, drawing, data}
    const watcher = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        const chart = [...shown.values()].find(({ box }) => box === target);
        if (chart?.plot && target.clientWidth && chart.plot.width !== target.clientWidth) chart.plot.setSize({ width: target.clientWidth, height: HEIGHT });
      }
    });

    function plot(chart) {
      chart.plot?.destroy();
      chart.plot = new globalThis.uPlot(options(chart.drawing, chart.box.clientWidth || 480, chart.legend), chart.drawing.data, chart.box);
      readOut(chart.plot, chart.drawing, chart.legend);
    }

    function draw(series) {
      const wanted = drawings(series ?? {});
      for (const [id, chart] of shown) {
        if (wanted.some((drawing) => drawing.id === id)) continue;
        chart.plot?.destroy();
        chart.figure.remove();
        shown.delete(id);
      }
      for (const drawing of wanted) {
        const data = JSON.stringify(drawing.data);
        let chart = shown.get(drawing.id);
        if (chart && chart.data === data) continue;
        if (!chart) {
          const [box, legend, foot] = [h("div.plot", { "aria-hidden": "true" }), h("p.read-out"), h("div")];
          chart = { box, legend, foot, figure: h("figure.chart", null, h("figcaption", null, h("h3", null, drawing.title), legend), box, foot) };
          shown.set(drawing.id, chart);
          element.append(chart.figure);
          watcher.observe(box);
        }
        Object.assign(chart, { drawing, data });
        plot(chart);
        if (!chart.foot.querySelector("details[open]")) batchgen.dom.fill(chart.foot, table(drawing));
      }
      return wanted.length;
    }

    return { draw, again: () => shown.forEach(plot) };
  }

  Object.assign(batchgen, { charts: { drawings, makeCharts } });
})((globalThis.batchgen ??= {}));
