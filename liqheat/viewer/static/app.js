// The page's state, its controls, and the loop that keeps the picture fresh.

import * as address from "./address.js";
import { Chart } from "./chart.js";
import { csv, png } from "./download.js";
import { evidence } from "./evidence.js";
import { age, price, usd } from "./format.js";
import * as panels from "./panels.js";
import { Picture } from "./picture.js";
import { SymbolSearch } from "./search.js";
import { signals } from "./signals.js";
import { scaleOf } from "./traces.js";
import { cascadeCard, WhatIf } from "./whatif.js";

const REFRESH_MS = 2000;
const WHOLE_EVERY_MS = 60_000;
const STALE_MS = 90_000;
const MOVING_MS = 20_000;

const byId = (id) => document.getElementById(id);
const state = address.read(location.search);
const lists = new URLSearchParams(location.search);
const chart = new Chart(byId("chart"), byId("hover"), zoom);
const whatIf = new WhatIf(chart, (target) => { state.what = target; remember(); whatIf.show(picture, target); });
const search = new SymbolSearch(byId("symbol"), byId("symbols"), (symbol) => {
  Object.assign(state, { symbol, what: 0, from: 0, to: 0, low: 0, high: 0 });
  picture = null;
  refresh();
});
const changed = new Map(); // symbol and venue -> its numbers, when this page first saw them, and that they have changed since it opened
let offered = null, markets = [], picture = null, wholeAt = 0, timer = 0, request = null, behindAtFirst = 0;

// Stops of the slider for the least notional drawn: off, then from $1k to $100M in even steps of the logarithm.
const leastOf = (stop) => (stop > 0 ? 1e3 * 10 ** (((stop - 1) / 99) * 5) : 0);
const stopOf = (usdValue) => (usdValue > 0 ? Math.round(1 + (99 * Math.log10(usdValue / 1e3)) / 5) : 0);

chart.drawn = () => { if (picture) whatIf.show(picture, state.what); };

function zoom(stretch) {
  if (!stretch && !state.from && !state.low) { if (picture) draw(); return; }
  Object.assign(state, stretch ?? { from: 0, to: 0, low: 0, high: 0 });
  picture = null;
  refresh();
}

function setControl(id, values, label, chosen, exclusive, choose) {
  const group = byId(id);
  if (group.dataset.values !== values.join()) {
    group.dataset.values = values.join();
    group.replaceChildren(...values.map((value) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label(value);
      button.dataset.value = value;
      if (exclusive) button.setAttribute("role", "radio");
      button.addEventListener("click", () => choose(value));
      return button;
    }));
  }
  for (const button of group.children) {
    const on = exclusive ? button.dataset.value === chosen : chosen.has(button.dataset.value);
    button.setAttribute(exclusive ? "aria-checked" : "aria-pressed", on);
  }
}

function controls() {
  const one = (name) => (value) => {
    state[name] = String(value);
    if (name === "range" || name === "span") Object.assign(state, { from: 0, to: 0, low: 0, high: 0 });
    if (name !== "scale" && name !== "style") picture = null;
    refresh();
  };
  const toggle = (name) => (value) => {
    if (!state[name].delete(value)) state[name].add(value);
    picture = null;
    refresh();
  };
  const present = offered.venues.filter((venue) => markets.some((market) => market.venues.includes(venue)));
  const same = (value) => value;
  setControl("range", offered.ranges, same, state.range, true, one("range"));
  setControl("span", offered.spans, (value) => `±${value}%`, state.span, true, one("span"));
  setControl("venues", present, (venue) => offered.venue_labels[venue] ?? venue, state.venues, false, toggle("venues"));
  setControl("bases", offered.bases, same, state.bases, false, toggle("bases"));
  setControl("bands", offered.bands, same, state.bands, false, toggle("bands"));
  setControl("scale", ["log", "linear"], same, state.scale, true, one("scale"));
  setControl("style", ["line", "candles"], same, state.style, true, one("style"));
  setControl("measure", offered.measures, (value) => value.replace("_", " "), state.measure, true, one("measure"));
  byId("unzoom").hidden = !state.from && !state.low;
  byId("least").value = stopOf(state.least);
  byId("least-text").textContent = state.least ? usd(state.least) : "all";
}

function remember() {
  history.replaceState(null, "", address.write(state, offered));
}

class Unanswered extends Error {}

async function ask(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unanswered("No answer from liqheat. Is it still running? This page tries again by itself.");
  }
  const answer = await response.json().catch(() => ({ problem: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Unanswered(answer.problem ?? `The server answered ${response.status}.`);
  return answer;
}

function notice(text, waiting = false) {
  byId("notice").hidden = !text;
  byId("notice").textContent = text;
  byId("notice").className = waiting ? "waiting" : picture ? "corner" : "";
  document.body.classList.toggle("empty", !picture);
}

function live(tone, text) {
  byId("live").className = `live ${tone}`;
  byId("live").lastElementChild.textContent = text;
}

async function askMarkets(signal) {
  const answer = await ask("api/markets", signal);
  markets = answer.symbols;
  if (!offered) {
    offered = answer.offered;
    for (const name of address.LISTS) {
      const wanted = lists.get(name);
      state[name] = new Set(wanted === null ? offered[name] : wanted.split(",").filter((value) => offered[name].includes(value)));
    }
    if (!offered.ranges.includes(state.range)) state.range = "6h";
    if (!offered.spans.map(String).includes(state.span)) state.span = "10";
    if (!offered.measures.includes(state.measure)) state.measure = offered.measures[0];
  }
  if (!markets.some((market) => market.symbol === state.symbol) && markets.length && !state.symbol) state.symbol = markets[0].symbol;
  search.show(markets, state.symbol);
}

// How old each venue's numbers are: by its latest minute where that is behind, else by when they last changed here.
function ages(answer) {
  const result = new Map();
  for (const row of answer.quality) {
    const key = `${answer.symbol} ${row.venue}`, numbers = JSON.stringify(row), before = changed.get(key);
    if (before?.numbers !== numbers) changed.set(key, { numbers, at: Date.now(), moved: before ? Date.now() : 0 });
    const behind = answer.now - row.latest - 60_000;
    result.set(row.venue, behind > STALE_MS ? behind : Date.now() - changed.get(key).at);
  }
  return result;
}

// How far history has arrived: from where this page first saw it, to now.
function progressOf(behind) {
  behindAtFirst = Math.max(behindAtFirst, behind);
  const done = 1 - behind / behindAtFirst;
  byId("progress").hidden = false;
  byId("progress").value = done;
  return `${Math.floor(100 * done)}%`;
}

function showLive(answer, old) {
  byId("progress").hidden = true;
  const youngest = Math.min(...old.values());
  const moved = Math.max(...answer.quality.map((row) => changed.get(`${answer.symbol} ${row.venue}`).moved));
  if (state.to && state.to < answer.now - STALE_MS) live("stale", "a stretch of the past");
  else if (youngest <= STALE_MS) { behindAtFirst = 0; live("fresh", `live, data ${age(youngest)} old`); }
  else if (Date.now() - moved < MOVING_MS) live("stale", `catching up, ${progressOf(youngest)}, ${age(youngest)} behind`);
  else live("stale", `no news for ${age(youngest)}`);
}

async function takePicture(signal) {
  const query = address.question(state, offered);
  const whole = !picture || Date.now() - wholeAt > WHOLE_EVERY_MS;
  if (!whole) {
    // The last two columns may still change; older ones come again with the whole picture.
    query.set("since", picture.answer.latest - picture.step);
    query.set("grid", picture.grid.name);
  }
  const answer = await ask(`api/heatmap?${query}`, signal);
  if (answer.state !== "ready") return answer.state;
  // History that arrives behind the last column (a backfill) asks for the whole picture.
  const history = picture && answer.minutes - picture.answer.minutes > 4 * answer.quality.length;
  if (!whole && !history && picture.continuedBy(answer)) picture.take(answer);
  else if (answer.since === answer.start) { picture = new Picture(answer); wholeAt = Date.now(); } else { picture = null; return takePicture(signal); }
  return "ready";
}

async function draw() {
  const { answer } = picture;
  const logarithmic = state.scale === "log";
  const market = markets.find((one) => one.symbol === state.symbol);
  const old = ages(answer);
  panels.figures(picture, market, state.venues);
  panels.ladder(picture);
  signals(picture);
  panels.news(picture);
  panels.record(picture);
  evidence(picture);
  cascadeCard(picture);
  panels.trust(picture, state.venues, old);
  panels.gaps(picture);
  panels.legend(picture, scaleOf(picture), logarithmic);
  panels.summary(picture, state.symbol);
  const prices = state.low ? [state.low, state.high] : null;
  const identity = [state.symbol, state.range, state.span, state.from, state.to, state.low, state.high].join("|");
  await chart.draw(picture, { logarithmic, identity, prices, least: state.least, style: state.style });
  whatIf.target = state.what;
  whatIf.show(picture, state.what);
  document.title = `${price(picture.mark)} ${state.symbol} · liqheat`;
  showLive(answer, old);
}

async function step(signal) {
  await askMarkets(signal);
  controls();
  if (!state.symbol) {
    live("waiting", "waiting");
    notice("Waiting for the first minute… If this stays, nothing is being written: is the sink running?", true);
    return;
  }
  const outcome = await takePicture(signal);
  if (outcome === "ready") {
    notice(picture.now.total ? "" : "Nothing at risk in this selection: switch a venue, basis or band on.");
    await draw();
  } else {
    live("waiting", "waiting");
    notice(outcome === "no_price"
      ? `Waiting for a mark price of ${state.symbol}…`
      : `Waiting for the first minute of ${state.symbol}… If this stays: is the symbol among the ingested ones, and is the sink running?`, true);
  }
}

async function refresh() {
  clearTimeout(timer);
  request?.abort();
  const own = new AbortController();
  request = own;
  if (offered) { controls(); remember(); }
  try {
    await step(own.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    live("failed", "not connected");
    notice(error instanceof Unanswered ? error.message : `The page failed: ${error.message}`);
    if (!(error instanceof Unanswered)) console.error(error);
  }
  if (request === own) timer = setTimeout(refresh, document.hidden ? 10 * REFRESH_MS : REFRESH_MS);
}

byId("unzoom").addEventListener("click", () => zoom(null));
byId("least").addEventListener("input", (event) => {
  state.least = leastOf(Number(event.target.value));
  byId("least-text").textContent = state.least ? usd(state.least) : "all";
  remember();
  if (picture) draw();
});
byId("png").addEventListener("click", () => { if (picture) png(picture, byId("chart")); });
byId("csv").addEventListener("click", () => { if (picture) csv(picture, state.least); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => { if (picture) draw(); });
refresh();
