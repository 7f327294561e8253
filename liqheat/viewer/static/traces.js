// The figure as plain data for Plotly: heatmap over time with the mark price on it, the map now at its right, flows below.

import { decimals, price } from "./format.js";

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const ramp = (side) => [0, 1, 2, 3, 4, 5].map((step) => css(`--${side}-${step}`));

// Longs fill -1..0 and shorts 0..1 of one scale; cells without notional are not drawn at all.
function diverging() {
  const long = ramp("long"), short = ramp("short");
  return [
    ...long.map((colour, i) => [0.5 - (i / 5) * 0.5, colour]).reverse().slice(0, 5), [0.4999, long[0]],
    [0.5, short[0]], ...short.slice(1).map((colour, i) => [0.5 + ((i + 1) / 5) * 0.5, colour]),
  ];
}

const FAINTEST = 0.03;

// Position of a notional on the colour scale, 0..1, by its share of ADV in %.
export function heat(usdValue, scale, logarithmic) {
  const value = (100 * usdValue) / scale.adv;
  const at = logarithmic
    ? Math.log(value / scale.lowest) / Math.log(scale.highest / scale.lowest)
    : value / scale.highest;
  return Math.min(1, Math.max(FAINTEST, at));
}

// Without a turnover there is no ADV: colour is then relative to the largest cell, and the legend says so.
export function scaleOf(picture) {
  const { adv_usd: adv, lowest, highest, levels } = picture.answer.heat;
  if (adv > 0) return { adv, lowest, highest, levels, known: true };
  let most = 1;
  for (const cells of [picture.long, picture.short]) for (const value of cells) if (value > most) most = value;
  return { adv: most, lowest: 1, highest: 100, levels: [1, 3, 10, 30, 100], known: false };
}

function colours(picture, scale, { logarithmic, least }) {
  const z = [];
  for (let row = 0; row < picture.rows; row++) {
    const line = new Array(picture.columns);
    for (let column = 0; column < picture.columns; column++) {
      const cell = row * picture.columns + column;
      const long = picture.long[cell], short = picture.short[cell];
      line[column] = long + short === 0 || Math.max(long, short) < least ? null
        : long >= short ? -heat(long, scale, logarithmic) : heat(short, scale, logarithmic);
    }
    z.push(line);
  }
  return z;
}

function cumulative(picture) {
  const long = { x: [], y: [] }, short = { x: [], y: [] };
  let sum = 0;
  for (let row = picture.rows - 1; row >= 0; row--) {
    if (picture.edge(row) > picture.mark && !picture.now.long[row]) continue;
    sum += picture.now.long[row];
    long.x.push(sum);
    long.y.push(picture.edge(row));
  }
  sum = 0;
  for (let row = 0; row < picture.rows; row++) {
    if (picture.edge(row + 1) < picture.mark && !picture.now.short[row]) continue;
    sum += picture.now.short[row];
    short.x.push(sum);
    short.y.push(picture.edge(row + 1));
  }
  return { long, short };
}

// Colour belongs to the sides, so a candle that rises is hollow and one that falls is filled.
function candles(times, { open, high, low, close }) {
  const drawn = (fill) => ({ line: { color: css("--price"), width: 1 }, fillcolor: fill });
  return {
    type: "candlestick", name: "mark", x: times, open, high, low, close, whiskerwidth: 0, hoverinfo: "skip", showlegend: false,
    increasing: drawn(css("--plot")), decreasing: drawn(css("--price")),
  };
}

export function traces(picture, scale, options) {
  const { answer } = picture;
  const middles = Array.from({ length: picture.rows }, (_, row) => picture.middle(row));
  const heights = middles.map((_, row) => (picture.edge(row + 1) - picture.edge(row)) * 0.86);
  const times = answer.price.column.map((column) => picture.time(column) + picture.step / 2);
  const edges = Array.from({ length: picture.columns + 1 }, (_, column) => picture.time(column));
  const columns = edges.slice(0, -1).map((time) => time + picture.step / 2);
  const executed = answer.executed.map(([time, venue, side, at, size]) => ({ time, venue, side, at, size }));
  const largest = Math.max(1, ...executed.map((one) => one.size));
  const sums = cumulative(picture);
  const tinted = (side) => picture.now[side].map((value) => (value ? heat(value, scale, options.logarithmic) : 0));
  const quiet = { hoverinfo: "skip", showlegend: false };
  const line = (x, y, colour, width, more = {}) =>
    ({ type: "scatter", mode: "lines", x, y, line: { color: colour, width }, ...quiet, ...more });
  const bars = (side) => ({
    type: "bar", orientation: "h", y: middles, x: Array.from(picture.now[side], (value) => (value < options.least ? 0 : value)), width: heights, base: 0,
    marker: { color: Array.from(tinted(side)), colorscale: ramp(side).map((c, i) => [i / 5, c]), cmin: -0.15, cmax: 1, line: { width: 0 } },
    xaxis: "x2", hoverinfo: "none", name: `map-${side}`, showlegend: false,
  });
  const flow = (side, sign, colour) => ({
    type: "bar", x: columns, y: answer.flows[`liquidated_${side}`].map((value) => sign * value),
    width: picture.step * 0.8, marker: { color: colour, line: { width: 0 } }, yaxis: "y2", hoverinfo: "none", name: `flow-${side}`, showlegend: false,
  });
  return [
    {
      type: "heatmap", name: "cells", x: edges, y: answer.grid.edges, z: colours(picture, scale, options),
      zmin: -1, zmax: 1, colorscale: diverging(), showscale: false, hoverinfo: "none", hoverongaps: true,
    },
    ...(options.style === "candles" ? [candles(times, answer.price)] : [
      line(times, answer.price.low, "rgba(0,0,0,0)", 0),
      line(times, answer.price.high, "rgba(0,0,0,0)", 0, { fill: "tonexty", fillcolor: css("--price-band") }),
      line(times, answer.price.close, css("--ground"), 4),
      line(times, answer.price.close, css("--price"), 1.7, { name: "mark" }),
    ]),
    {
      type: "scatter", mode: "markers", name: "executed", x: executed.map((one) => one.time), y: executed.map((one) => one.at),
      marker: {
        size: executed.map((one) => 4 + 13 * Math.sqrt(one.size / largest)),
        color: executed.map((one) => css(one.side === "long" ? "--long" : "--short")),
        opacity: 0.75, line: { width: 1, color: css("--price") },
      },
      hoverinfo: "none", showlegend: false,
    },
    bars("long"), bars("short"),
    line(sums.long.x, sums.long.y, css("--long"), 1.4, { xaxis: "x3" }),
    line(sums.short.x, sums.short.y, css("--short"), 1.4, { xaxis: "x3" }),
    flow("long", -1, css("--long")), flow("short", 1, css("--short")),
    line(columns, answer.flows.open_interest, css("--muted"), 1.2, { yaxis: "y3", connectgaps: false }),
  ];
}

// The nearest price of each side from which a chain of liquidations carries price half as far again.
const triggers = (picture) => picture.answer.cascades.filter((one) => one.trigger_price != null).map((one) => ({
  type: "line", xref: "paper", x0: 0, x1: 1, y0: one.trigger_price, y1: one.trigger_price, line: { color: css(`--${one.side}`), width: 1.2, dash: "dashdot" },
}));

export function layout(picture, options, narrow) {
  const digits = Math.max(0, decimals(picture.mark) - 1);
  const text = { family: css("--font"), size: 11, color: css("--muted") };
  const map = narrow ? [0, 1] : [0, 0.8];
  const axis = { gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), tickfont: text, fixedrange: narrow };
  // Only what there is fills the picture: no blank before the history begins.
  const begin = Math.min(picture.time(picture.first), picture.time(picture.columns - 2)), end = picture.time(picture.columns);
  const { liquidated_long, liquidated_short } = picture.answer.flows;
  const executed = Math.max(...liquidated_long, ...liquidated_short) > 0;
  const interest = picture.answer.flows.open_interest_venues;
  const noun = picture.answer.measure === "expected" ? "Liquidations expected if price gets there" : "Notional at risk by liquidation price";
  const venues = new Set(picture.answer.quality.map((row) => row.venue));
  const caption = (content, x, y, more) => ({
    text: content, x, y, xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false, font: { ...text, size: 10.5 }, ...more,
  });
  return {
    paper_bgcolor: css("--panel"), plot_bgcolor: css("--plot"), font: text, autosize: true, showlegend: false,
    margin: { l: 26 + 6.4 * price(picture.mark, digits).length, r: narrow ? 8 : 14, t: 22, b: 30 }, bargap: 0, barmode: "overlay", hovermode: "closest", dragmode: "zoom",
    datarevision: options.revision, uirevision: `${options.identity}|${picture.grid.factor}`,
    xaxis: { ...axis, type: "date", rangeslider: { visible: false }, domain: map, range: [begin, end], anchor: "y2", tickformatstops: [
      { dtickrange: [null, 21_600_000], value: "%H:%M" }, { dtickrange: [21_600_001, null], value: "%e %b %H:%M" }],
      ...spike() },
    yaxis: { ...axis, domain: [0.17, 1], range: options.prices ?? [picture.edge(0), picture.edge(picture.rows)], tickprefix: "$", tickformat: `,.${digits}f`, ...spike() },
    xaxis2: { ...axis, domain: narrow ? [0.999, 1] : [0.812, 1], anchor: "y", rangemode: "tozero", tickprefix: "$", tickformat: "~s", nticks: 4, showgrid: true, fixedrange: true, visible: !narrow },
    xaxis3: { overlaying: "x2", anchor: "y", side: "top", rangemode: "tozero", showgrid: false, zeroline: false, tickprefix: "$", tickformat: "~s", nticks: 4, tickfont: text, fixedrange: true, visible: !narrow },
    yaxis2: { ...axis, domain: [0, 0.14], anchor: "x", tickprefix: "$", tickformat: "~s", nticks: 3, showticklabels: executed, zeroline: true, zerolinecolor: css("--line"), fixedrange: true },
    yaxis3: { overlaying: "y2", anchor: "x", side: "right", showgrid: false, zeroline: false, showticklabels: false, fixedrange: true },
    shapes: [
      ...triggers(picture),
      ...picture.answer.gaps.map(([start, finish, , , , , filled]) => ({
        type: "rect", xref: "x", yref: "paper", x0: start, x1: Math.max(finish, start + picture.step / 2), y0: 0.17, y1: 1,
        fillcolor: css(filled ? "--gap-filled" : "--gap"), line: { width: 0 }, layer: "above",
      })),
      ...picture.answer.signals.catalysts.map(({ event_time: time }) => ({ type: "line", x0: time, x1: time, yref: "paper", y0: 0.17, y1: 1, line: { color: css("--accent"), width: 1, dash: "dash" } })),
      { type: "line", xref: "paper", x0: map[0], x1: 1, yref: "y", y0: picture.mark, y1: picture.mark, line: { color: css("--price"), width: 1, dash: "dot" }, opacity: 0.45 },
    ],
    annotations: [
      caption(`${noun}, ${venues.size === 1 ? [...venues][0] : `${venues.size} venues`}, UTC`, map[0], 1.003),
      ...(narrow ? [] : [caption("The map now<br>bars: per bucket, lower scale<br>lines: summed, upper scale", 0.815, 0.1, { yanchor: "top", align: "left" })]),
      caption(`${executed ? "Executed liquidations (bars: shorts up, longs down)" : "No executed liquidations"} and open interest (line${interest.length ? `: ${interest.join(", ")}` : ", none"})`, map[0], 0.142),
      {
        text: price(picture.mark), x: narrow ? 1 : 0.806, xref: "paper", xanchor: narrow ? "right" : "center", y: picture.mark, yref: "y", showarrow: false,
        font: { ...text, color: css("--ground"), size: 11 }, bgcolor: css("--price"), borderpad: 2,
      },
    ],
  };
}

const spike = () => ({ showspikes: true, spikemode: "across", spikesnap: "cursor", spikethickness: 1, spikedash: "dot", spikecolor: css("--muted") });
