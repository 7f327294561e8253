// What the map means, over all venues whatever the page's filters show: conviction, what a move liquidates, funding, open interest.

import { countdown, make, percent, price, usd } from "./format.js";

const byId = (id) => document.getElementById(id);
const PARTS = { cluster: 40, imbalance: 20, funding: 15, open_interest: 15, round_number: 10 };
const STEPS = [1, 2, 5, 10];
const ofHundred = (value) => (value == null ? null : value / 100);
const words = (name) => name.replace("_", " ");
const seconds = (value) => (value == null ? "–" : countdown(1000 * value));

const toward = (reading) => (reading.direction > 0 ? "up" : reading.direction < 0 ? "down" : "no direction");
const tone = (reading) => (reading.direction > 0 ? "long" : reading.direction < 0 ? "short" : "");

// The card among the key figures.
export function convictionCard(reading) {
  if (!reading) return ["Conviction", "–", "no reading yet"];
  return ["Conviction", `${reading.conviction.toFixed(0)} of 100`, reading.coiled_spring ? `${toward(reading)}, coiled spring` : toward(reading), tone(reading)];
}

function row(table, cells, classes = []) {
  const line = make("tr");
  cells.forEach((cell, i) => line.append(make("td", cell, classes[i] ?? "")));
  table.append(line);
}

function table(heads) {
  const result = make("table"), line = make("tr");
  for (const [name, title] of heads) line.append(make("th", name, "", title ?? ""));
  result.append(line);
  return result;
}

function agreed(count) {
  if (!count) return "no agreement";
  const venues = Math.abs(count);
  return `${venues} large venue${venues > 1 ? "s" : ""} ${count > 0 ? "up" : "down"}`;
}

function moves(reading) {
  const result = table([["a move of", "what the mark would liquidate on its way, USD"], ...STEPS.map((step) => [`${step}%`])]);
  row(result, ["down", ...STEPS.map((step) => usd(reading[`down_${step}_usd`]))], ["", ...STEPS.map(() => "long")]);
  row(result, ["up", ...STEPS.map((step) => usd(reading[`up_${step}_usd`]))], ["", ...STEPS.map(() => "short")]);
  return result;
}

function venues(reading, markets) {
  const result = table([["venue"], ["funding", "mean over 4 h, as a rate of 8 h; positive: longs pay"], ["settles", "time to the next settlement"],
    ["OI 1 h", "change of open interest in coins over 1 h"], ["OI 4 h", "the same over 4 h"]]);
  const cells = (name, one) => [name, percent(one.funding_rate_4h, 4, true), seconds(one.settlement_seconds),
    percent(ofHundred(one.open_interest_change_1h), 1, true), percent(ofHundred(one.open_interest_change_4h), 1, true)];
  for (const market of markets) row(result, cells(market.venue, market));
  row(result, cells("all", reading));
  return result;
}

export function signals(picture) {
  const { reading, venues: markets } = picture.answer.signals;
  byId("signals-section").hidden = !reading;
  if (!reading) return;
  const parts = Object.entries(PARTS).map(([name, of]) => `${words(name)} ${reading[`conviction_${name}`].toFixed(0)}/${of}`).join(", ");
  const payer = reading.funding_direction > 0 ? "longs pay" : reading.funding_direction < 0 ? "shorts pay" : "nobody pays";
  const pain = (side) => (reading[`max_pain_${side}_price`] ? `${side}s ${price(reading[`max_pain_${side}_price`])} (${usd(reading[`max_pain_${side}_usd`])})` : `no ${side}s`);
  const hour = agreed(reading.open_interest_agreement_1h), four = agreed(reading.open_interest_agreement_4h);
  const lines = [
    [reading.direction ? `why ${toward(reading)}` : "conviction", parts],
    ["max pain", `${pain("short")}, ${pain("long")}`],
    ["funding 4 h", payer],
    ["open interest", hour === four ? `${hour} over 1 h and 4 h` : `1 h: ${hour}; 4 h: ${four}`],
  ];
  if (reading.coiled_spring) lines.push(["coiled spring", "open interest is up at a flat price beside a heavy cluster"]);
  if (reading.exposure_reduction) lines.push(["inside a cluster", `rule of thumb: reduce exposure by ${percent(reading.exposure_reduction, 0)}`]);
  const list = make("dl");
  for (const [name, text] of lines) list.append(make("dt", name), make("dd", text));
  byId("signals").replaceChildren(list, moves(reading), venues(reading, markets));
}
