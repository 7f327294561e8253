// Everything around the figure: key figures, the ladder of heaviest levels, trust by venue, gaps, legend.

import { age, clock, countdown, decimals, make, percent, price, share, usd } from "./format.js";
import { convictionCard } from "./signals.js";

const byId = (id) => document.getElementById(id);

// What was predicted and executed over the last days, and how well it was said where.
export function record(picture) {
  const element = byId("record"), rows = picture.answer.record;
  const streamed = rows.find((row) => row.horizon_hours === 0);
  if (!streamed?.judged) {
    element.replaceChildren(make("p", "Unproven for this symbol: no prediction has been judged yet.", "quiet"));
    return;
  }
  const lines = make("ul");
  const ratio = streamed.predicted_usd > 0 ? streamed.executed_usd / streamed.predicted_usd : null;
  lines.append(make("li", `Of what this map predicted in ${streamed.days} days, ${ratio == null ? "nothing" : ratio.toFixed(2)} was executed (${usd(streamed.executed_usd)} of ${usd(streamed.predicted_usd)}).`));
  for (const row of rows) {
    if (row.horizon_hours === 0 || row.place_score == null) continue;
    const signed = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(2)}`;
    lines.append(make("li", `Place, ${row.horizon_hours} h ahead: ${signed(row.place_score)} over uniform (distance alone: ${signed(row.kernel_score)}).`));
  }
  if (!streamed.proven) lines.append(make("li", `Unproven for this symbol: ${streamed.judged} of ${streamed.needed} hours with liquidations.`, "warn"));
  element.replaceChildren(lines);
}

const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] || 0), 0);

export function figures(picture, market, chosen) {
  const { quality, heat, now: time } = picture.answer;
  const rows = quality.filter((row) => chosen.has(row.venue) && !row.is_stale);
  const near = picture.within(heat.focus);
  const imbalance = near.long + near.short > 0 ? (near.long - near.short) / (near.long + near.short) : null;
  const lead = rows.find((row) => row.venue === picture.answer.price.venue) ?? rows[0];
  const ofAdv = (value) => (heat.adv_usd ? `${share(value / heat.adv_usd)} of ADV` : "ADV unknown");
  const openInterest = sum(rows, "open_interest");
  const cards = [
    ["ADV", usd(heat.adv_usd || null), "24 h turnover, all venues"],
    ["Open interest", usd(openInterest || null), ofAdv(openInterest)],
    [`Longs within −${heat.focus}%`, usd(near.long), ofAdv(near.long), "long"],
    [`Shorts within +${heat.focus}%`, usd(near.short), ofAdv(near.short), "short"],
    ["Imbalance", percent(imbalance, 0, true), imbalance == null ? "" : imbalance > 0 ? "more longs at risk near price" : "more shorts at risk near price"],
    ["Funding", lead ? percent(lead.funding_rate, 4, true) : "–", lead?.next_funding_time > time ? `settles in ${countdown(lead.next_funding_time - time)}` : "per interval"],
    convictionCard(picture.answer.signals.reading),
    ["Observed", picture.now.total ? percent(picture.now.observed / picture.now.total, 0) : "–", "of the map; the rest is inferred"],
  ];
  byId("figures").replaceChildren(...cards.map(([name, value, note, tone, title]) => {
    const card = make("div", "", "", title);
    const content = make("dd", value, tone);
    content.append(make("small", note));
    card.append(make("dt", name), content);
    return card;
  }));
  byId("price").textContent = price(picture.mark);
  byId("change").textContent = market?.change == null ? "" : percent(market.change, 2, true);
  byId("change").className = market?.change < 0 ? "short" : "long";
}

// Clusters where the pipeline has found some, else the heaviest buckets in view: in falling price, like an order book.
export function ladder(picture) {
  const { heat, signals: { clusters } } = picture.answer;
  const levels = { short: [], long: [] };
  for (const side of ["short", "long"]) {
    levels[side] = clusters.length
      ? clusters.filter((one) => one.side === side).map((one) => ({
        low: one.price_low, high: one.price_high, value: one.at_risk_usd, edge: one.nearer_edge,
        note: `${side} cluster, ${one.state}, ${one.age_minutes} min old; nearest round number ${price(one.round_number, 2)}`,
      })).sort((a, b) => b.low - a.low)
      : picture.heaviest(side, 6).map(({ row, value }) => ({ low: picture.edge(row), high: picture.edge(row + 1), value, edge: picture.middle(row), note: "" }));
  }
  byId("ladder-title").textContent = clusters.length ? "Clusters" : "Heaviest levels";
  byId("ladder-note").textContent = clusters.length ? "now, all venues" : "now, within view";
  const most = Math.max(1, ...[...levels.short, ...levels.long].map((level) => level.value));
  const digits = decimals(picture.mark);
  const rung = (side) => ({ low, high, value, edge, note }) => {
    const large = heat.adv_usd && (100 * value) / heat.adv_usd > heat.caution;
    const line = make("div", "", `rung ${side}`, large ? `Above ${heat.caution}% of ADV: caution. ${note}` : note);
    const bar = make("i");
    bar.style.width = `${(100 * value) / most}%`;
    const range = clusters.length ? `${price(low, digits - 1)}–${high.toFixed(digits - 1)}` : price((low + high) / 2, digits);
    line.append(bar, make("span", range), make("span", percent(edge / picture.mark - 1, 1, true)),
      make("b", usd(value)), make("span", heat.adv_usd ? `${large ? "! " : ""}${share(value / heat.adv_usd)}` : "–"));
    return line;
  };
  const head = make("div", "", "rung head");
  head.append(make("span", "price"), make("span", "distance"), make("span", "at risk"), make("span", "of ADV"));
  const mark = make("div", "", "rung now");
  mark.append(make("span", price(picture.mark)), make("span", "mark price"));
  byId("ladder").replaceChildren(head, ...levels.short.map(rung("short")), mark, ...levels.long.map(rung("long")));
}

export function news(picture) {
  const { alerts, catalysts } = picture.answer.signals;
  const lines = [
    ...alerts.map((one) => [one.event_time, one.kind, one.message.replace(`${picture.answer.symbol} ${one.kind}: `, ""), one.side]),
    ...catalysts.map((one) => [one.event_time, one.source, one.title, "news"]),
  ].sort((a, b) => b[0] - a[0]).slice(0, 30);
  byId("news-section").hidden = lines.length === 0;
  byId("news").replaceChildren(...lines.map(([time, kind, text, tone]) => {
    const line = make("li", "", tone);
    line.append(make("time", clock(time)), make("b", kind), document.createTextNode(` ${text}`));
    return line;
  }));
}

export function trust(picture, chosen, ages) {
  const table = make("table");
  const head = make("tr");
  for (const [name, title] of [["venue", ""], ["positions", "observed: read from the venue; inferred: estimated from open interest and trades"],
    ["cover", "observed notional over open interest"], ["scale", "factor learned from executed liquidations, long / short: expected per modelled USD"], ["age", "time since the venue's numbers last changed"]]) {
    head.append(make("th", name, "", title));
  }
  table.append(head);
  for (const row of picture.answer.quality) {
    const line = make("tr", "", chosen.has(row.venue) ? "" : "off");
    const old = ages.get(row.venue) ?? 0;
    const name = make("td", row.venue);
    name.prepend(make("i", "", old > 90_000 ? "dot stale" : "dot"));
    const factor = (value) => (value == null || value === 0 ? "–" : value.toFixed(2));
    line.append(name, make("td", row.coverage > 0 ? "observed" : "inferred"), make("td", percent(row.coverage || 0, 0)),
      make("td", `${factor(row.scale_long)} / ${factor(row.scale_short)}`), make("td", age(old)));
    if (row.is_stale) line.className = "off";
    if (row.warming_up) name.append(make("small", " warming up", "warn"));
    if (row.is_stale) name.append(make("small", " silent", "warn"));
    if (row.late_rows > 0) line.title = `${row.late_rows} rows came after their minute had closed`;
    table.append(line);
  }
  byId("trust").replaceChildren(table);
}

export function gaps(picture) {
  const rows = picture.answer.gaps;
  byId("gaps-section").hidden = rows.length === 0;
  byId("gaps").replaceChildren(...rows.slice(0, 5).map(([start, end, venue, stream, missing, reason, filled]) => {
    const count = missing ? `${missing} missing, ` : "";
    return make("li", `${venue} ${stream} ${clock(start)}–${clock(end)}: ${count}${reason}${filled ? ", filled" : ""}`, filled ? "filled" : "");
  }));
}

export function legend(picture, scale, logarithmic) {
  const above = picture.grid.edges.findIndex((edge) => edge > picture.mark);
  const bucket = above > 0 ? ` per bucket of $${plain(picture.edge(above) - picture.edge(above - 1))}` : "";
  const unit = scale.known ? `% of ADV${bucket}` : "% of the largest bucket (ADV not known yet)";
  const place = (level) => (logarithmic ? Math.log(level / scale.lowest) / Math.log(scale.highest / scale.lowest) : level / scale.highest);
  // From the hottest down, each tick as far from the one before as its text is wide.
  const shown = scale.levels.toReversed().reduce((kept, level) => (kept.length && place(kept.at(-1)) - place(level) < 0.22 ? kept : [...kept, level]), []).toReversed();
  byId("ticks").replaceChildren(...shown.map((level) => {
    const tick = make("span", `${Number(level.toPrecision(2))}`);
    tick.style.left = `${100 * place(level)}%`;
    return tick;
  }), make("small", unit));
  byId("key-price").textContent = `mark price (${picture.answer.price.venue}), band: its low to high`;
  const observed = picture.answer.quality.filter((row) => row.coverage > 0).map((row) => row.venue);
  const silent = picture.answer.quality.filter((row) => row.is_stale).map((row) => row.venue);
  byId("honesty").textContent = `Inferred, not observed: exchanges${observed.length ? ` other than ${observed.join(", ")}` : ""} publish no positions, so levels are estimated from open interest, trades and margin tiers. An estimate, not advice.${silent.length ? ` Silent and left out: ${silent.join(", ")}.` : ""}`;
}

// A width without a float's last digits and without an exponent.
const plain = (value) => Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 15 });

export function summary(picture, symbol) {
  const total = (cells) => cells.reduce((a, b) => a + b, 0);
  byId("summary").textContent = `Liquidation heatmap of ${symbol}: ${usd(total(picture.now.long))} of long positions at risk below and `
    + `${usd(total(picture.now.short))} of short positions at risk above the mark price of ${price(picture.mark)}, `
    + `over ${picture.columns} columns of ${picture.step / 60000} min and ${picture.rows} price rows.`;
}
