// What if price gets there: a price that can be dragged on the map, and the curve of where such a move comes to rest.

import { decimals, make, percent, price, usd } from "./format.js";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const KEY_STEP = 0.0025;

// Value at `x` of the straight lines through the points, the last point's value past it.
function along(xs, ys, x) {
  let i = xs.findIndex((each) => each >= x);
  if (i < 0) return ys[ys.length - 1];
  if (i === 0) return ys[0] * (xs[0] > 0 ? x / xs[0] : 1);
  return ys[i - 1] + ((x - xs[i - 1]) / (xs[i] - xs[i - 1])) * (ys[i] - ys[i - 1]);
}

// What a move to `target` does by the stored curves; null where no order book is known.
export function moveTo(cascades, mark, target) {
  const distance = 100 * Math.abs(target / mark - 1), falls = target < mark;
  const curve = cascades.find((one) => one.side === (falls ? "long" : "short"));
  if (!curve || !(distance > 0)) return null;
  const rest = Math.max(distance, along(curve.move_percent, curve.rest_percent, distance));
  const isBeyond = curve.beyond_percent != null && distance >= curve.beyond_percent;
  return {
    distance, rest, isBeyond, curve, amplification: rest / distance,
    price: mark * (1 + ((falls ? -1 : 1) * rest) / 100),
    liquidated: along(curve.move_percent, curve.liquidated_usd, distance),
  };
}

// What the map now holds between the mark and `target`, USD, of what is drawn.
function heldUpTo(picture, target) {
  let sum = 0;
  for (let row = 0; row < picture.rows; row++) {
    const middle = picture.middle(row);
    if (target < picture.mark && middle >= target && middle <= picture.mark) sum += picture.now.long[row];
    if (target > picture.mark && middle <= target && middle >= picture.mark) sum += picture.now.short[row];
  }
  return sum;
}

export function sentence(picture, target) {
  const { mark, answer } = picture, digits = decimals(mark);
  const move = moveTo(answer.cascades, mark, target);
  const noun = answer.measure === "expected" ? "expected liquidations" : "at risk";
  const lines = [
    [`to ${price(target, digits)}`, percent(target / mark - 1, 2, true)],
    [`${target < mark ? "longs" : "shorts"}, ${noun} on the way`, usd(heldUpTo(picture, target))],
  ];
  if (!move) return [...lines, ["order books", "none known: no rest price"]];
  return [...lines,
    ["liquidated by the time it rests", usd(move.liquidated)],
    ["comes to rest at", move.isBeyond ? `beyond ${price(move.price, digits)}: past the known books` : `${price(move.price, digits)} (${percent((move.price - mark) / mark, 2, true)})`],
    ["amplification", move.isBeyond ? `over ${move.amplification.toFixed(2)}×` : `${move.amplification.toFixed(2)}×`],
  ];
}

export class WhatIf {
  constructor(chart, changed) {
    this.chart = chart;
    this.changed = changed;
    this.handle = byId("what");
    this.card = byId("answer");
    this.handle.addEventListener("pointerdown", (event) => this.#grab(event));
    this.handle.addEventListener("keydown", (event) => this.#key(event));
  }

  show(picture, target) {
    this.picture = picture;
    const place = this.chart.placeOf(target || picture.mark);
    this.handle.hidden = place == null;
    if (place == null) { this.card.hidden = true; return; }
    this.handle.style.top = `${place.top}px`;
    this.handle.style.left = `${place.left}px`;
    this.handle.style.width = `${place.width}px`;
    const text = target ? percent(target / picture.mark - 1, 1, true) : "what if? drag";
    this.handle.firstElementChild.textContent = text;
    this.handle.classList.toggle("set", Boolean(target));
    const moved = target ? 100 * (target / picture.mark - 1) : 0;
    for (const [name, value] of [["valuenow", moved.toFixed(2)], ["valuemin", "-99"], ["valuemax", "99"]]) this.handle.setAttribute(`aria-${name}`, value);
    const lines = target ? sentence(picture, target) : [];
    this.handle.setAttribute("aria-valuetext", lines.map((line) => line.join(" ")).join("; ") || "not set");
    this.card.hidden = !target;
    if (!target) return;
    this.card.replaceChildren(...lines.map(([name, value]) => {
      const line = make("div");
      line.append(make("span", name), make("b", value));
      return line;
    }));
    const below = place.top + 12 + this.card.offsetHeight < this.card.parentElement.clientHeight;
    this.card.style.top = `${below ? place.top + 10 : place.top - 10 - this.card.offsetHeight}px`;
  }

  #grab(event) {
    event.preventDefault();
    this.handle.focus();
    this.handle.setPointerCapture(event.pointerId);
    const move = (moved) => this.#set(this.chart.priceAt(moved.clientY));
    const end = () => {
      this.handle.removeEventListener("pointermove", move);
      this.handle.removeEventListener("pointerup", end);
    };
    this.handle.addEventListener("pointermove", move);
    this.handle.addEventListener("pointerup", end);
  }

  #key(event) {
    const steps = { ArrowUp: 1, ArrowRight: 1, PageUp: 8, ArrowDown: -1, ArrowLeft: -1, PageDown: -8 };
    if (event.key === "Escape" || event.key === "Delete") this.#set(0);
    else if (event.key in steps) this.#set((this.target || this.picture.mark) * (1 + steps[event.key] * KEY_STEP));
    else return;
    event.preventDefault();
  }

  #set(target) {
    this.target = target > 0 ? Number(target.toPrecision(6)) : 0;
    this.changed(this.target);
  }
}

const shape = (tag, attributes) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

// Rest against move, both in percent: on the diagonal nothing is carried on.
function curveOf(cascades, reach) {
  const size = { width: 280, height: 120, left: 26, bottom: 16 };
  const x = (move) => size.left + (move / reach) * (size.width - size.left - 4);
  const y = (rest) => size.height - size.bottom - (Math.min(rest, 2 * reach) / (2 * reach)) * (size.height - size.bottom - 4);
  const svg = shape("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": "Where a move comes to rest, by its size" });
  for (const move of [reach / 2, reach]) {
    const label = shape("text", { x: x(move) - 3, y: size.height - 3, "text-anchor": "end" });
    label.textContent = `${move}%`;
    const mark = shape("text", { x: size.left - 4, y: y(move) + 3, "text-anchor": "end" });
    mark.textContent = `${move}%`;
    svg.append(label, mark);
  }
  svg.append(shape("line", { x1: x(0), y1: y(0), x2: x(reach), y2: y(reach), class: "even" }));
  for (const one of cascades) {
    const points = one.move_percent.map((move, i) => [move, one.rest_percent[i]]).filter(([move]) => move <= reach);
    svg.append(shape("polyline", { points: points.map(([move, rest]) => `${x(move)},${y(rest)}`).join(" "), class: one.side }));
  }
  return svg;
}

export function cascadeCard(picture) {
  const { cascades } = picture.answer;
  const element = byId("cascade");
  if (!cascades.length) {
    element.replaceChildren(make("p", "No order book of this symbol is read, so it is not known where a move comes to rest.", "quiet"));
    return;
  }
  const table = make("table"), head = make("tr");
  for (const [name, title] of [["move"], ["rests at", "where price comes to rest once the chain of liquidations is absorbed"], ["liquidated"], ["×", "rest over move"]]) head.append(make("th", name, "", title ?? ""));
  table.append(head);
  for (const step of [2, 5]) {
    for (const one of cascades) {
      const sign = one.side === "long" ? -1 : 1;
      const move = moveTo(cascades, picture.mark, picture.mark * (1 + (sign * step) / 100));
      const line = make("tr");
      line.append(make("td", percent((sign * step) / 100, 0, true)), make("td", `${move.isBeyond ? "over " : ""}${percent((sign * move.rest) / 100, 1, true)}`, one.side),
        make("td", usd(move.liquidated)), make("td", move.amplification.toFixed(2)));
      table.append(line);
    }
  }
  const notes = cascades.map((one) => {
    const absorbed = one.absorption_2 == null ? "" : `, at risk within 2% is ${one.absorption_2.toFixed(1)}× the book`;
    return one.trigger_percent == null
      ? `${one.side}s: no move up to ${one.move_percent[one.move_percent.length - 1]}% sets off a chain${absorbed}`
      : `${one.side}s: from ${price(one.trigger_price)} on (${percent(((one.side === "long" ? -1 : 1) * one.trigger_percent) / 100, 1, true)}) a move is carried half as far again${absorbed}`;
  });
  const list = make("ul");
  list.append(...notes.map((text) => make("li", text)));
  const coverage = Math.min(...cascades.map((one) => one.book_coverage ?? 0));
  byId("cascade-note").textContent = coverage < 0.995 ? `books of ${percent(coverage, 0)} of open interest` : "expected liquidations against the order books";
  element.replaceChildren(table, curveOf(cascades, 10), list);
}
