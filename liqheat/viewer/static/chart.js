// The figure on the page: drawn by Plotly, zoomed by hand, with what is under the pointer in words.

import { clock, decimals, fullUsd, moment, percent, price, share, usd } from "./format.js";
import { layout, scaleOf, traces } from "./traces.js";

const SETTLED_MS = 250;

export class Chart {
  // `zoomed` is called with the stretch of time and price that was chosen by hand, or null when it was taken back.
  constructor(element, hover, zoomed) {
    this.element = element;
    this.hover = hover;
    this.zoomed = zoomed;
    this.settling = 0;
    this.revision = 0;
    this.listening = false;
    new ResizeObserver(async () => {
      if (!this.listening) return;
      await window.Plotly.Plots.resize(this.element);
      this.drawn?.();
    }).observe(element);
  }

  async draw(picture, options) {
    this.picture = picture;
    this.scale = scaleOf(picture);
    const narrow = this.element.clientWidth < 620;
    const figure = layout(picture, { ...options, revision: ++this.revision }, narrow);
    await window.Plotly.react(this.element, traces(picture, this.scale, options), figure, { displayModeBar: false, responsive: true, scrollZoom: true, doubleClick: false });
    if (this.listening) return;
    this.listening = true;
    this.element.on("plotly_hover", (event) => this.#show(event));
    this.element.on("plotly_unhover", () => { this.hover.hidden = true; });
    this.element.on("plotly_doubleclick", () => this.zoomed(null));
    this.element.on("plotly_relayout", (change) => this.#settle(change));
  }

  // Where a price is on the map, in pixels of the element; null outside of what is drawn.
  placeOf(value) {
    const axes = this.element._fullLayout;
    if (!axes?.yaxis) return null;
    const { yaxis, xaxis } = axes, at = yaxis.d2p(value);
    if (!(at >= 0 && at <= yaxis._length)) return null;
    return { top: yaxis._offset + at, left: xaxis._offset, width: this.element.clientWidth - xaxis._offset - axes.margin.r };
  }

  priceAt(clientY) {
    const { yaxis } = this.element._fullLayout;
    const at = clientY - this.element.getBoundingClientRect().top - yaxis._offset;
    return yaxis.p2d(Math.max(0, Math.min(yaxis._length, at)));
  }

  // After a zoom or a drag comes to rest, finer data of what is then seen are asked for.
  #settle(change) {
    if (!Object.keys(change).some((key) => /^[xy]axis\.range/.test(key))) return;
    this.drawn?.();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      const { xaxis, yaxis } = this.element._fullLayout;
      const [from, to] = xaxis.range.map((time) => Math.round(xaxis.d2c(time)));
      const [low, high] = yaxis.range;
      if (from < to && low < high && low > 0) this.zoomed({ from, to, low, high });
    }, SETTLED_MS);
  }

  #show(event) {
    const point = event.points[0];
    const lines = this.#lines(point);
    if (!lines) return;
    this.hover.replaceChildren(...lines.map(([label, value, tone]) => {
      const line = document.createElement("div");
      const key = document.createElement("span"), content = document.createElement("b");
      key.textContent = label;
      content.textContent = value;
      if (tone) content.className = tone;
      line.append(key, content);
      return line;
    }));
    this.hover.hidden = false;
    const { clientX: x, clientY: y } = event.event;
    const { width, height } = this.hover.getBoundingClientRect();
    this.hover.style.left = `${x + 18 + width > innerWidth ? x - width - 18 : x + 18}px`;
    this.hover.style.top = `${Math.max(8, Math.min(y - height / 2, innerHeight - height - 8))}px`;
  }

  #lines(point) {
    const { picture } = this;
    const name = point.data.name ?? "";
    const digits = decimals(picture.mark);
    const ofAdv = (value) => (this.scale.known ? `${share(value / this.scale.adv)} of ADV` : "ADV unknown");
    if (name === "executed") {
      const [time, venue, side, at, size] = picture.answer.executed[point.pointIndex];
      return [["executed", `${side} liquidation`, side], ["time", `${moment(time)} UTC`], ["venue", venue], ["price", price(at, digits)], ["notional", fullUsd(size)], ["", ofAdv(size)]];
    }
    if (name.startsWith("flow-")) {
      const column = point.pointIndex;
      return [["time", `${moment(picture.time(column))} UTC`], ["longs liquidated", fullUsd(picture.answer.flows.liquidated_long[column]), "long"],
        ["shorts liquidated", fullUsd(picture.answer.flows.liquidated_short[column]), "short"], ["open interest", usd(picture.answer.flows.open_interest[column])]];
    }
    const onMap = name.startsWith("map-");
    if (!onMap && name !== "cells") return null;
    const row = onMap ? point.pointIndex : point.pointIndex[0];
    const column = onMap ? picture.columns - 1 : point.pointIndex[1];
    const cell = row * picture.columns + column;
    const range = `${price(picture.edge(row), digits)} – ${price(picture.edge(row + 1), digits)}`;
    const index = picture.answer.price.column.indexOf(column);
    const mark = index >= 0 ? picture.answer.price.close[index] : null;
    const lines = [["time", onMap ? "now" : `${moment(picture.time(column))} – ${clock(picture.time(column + 1))} UTC`], ["price", range]];
    if (mark) lines.push(["mark price", price(mark, digits)], ["distance", percent(picture.middle(row) / mark - 1, 2, true)]);
    for (const [side, cells] of [["short", picture.short], ["long", picture.long]]) {
      if (cells[cell] > 0) lines.push([`${side}s at risk`, usd(cells[cell]), side], ["", ofAdv(cells[cell])]);
    }
    if (picture.long[cell] + picture.short[cell] === 0) lines.push(["at risk", "none estimated"]);
    if (column === picture.columns - 1) for (const [venue, basis, value] of picture.now.venues.get(row) ?? []) lines.push([venue, `${usd(value)} ${basis}`]);
    return lines;
  }
}
