// The symbol field: type a part of the name, choose with the keyboard; "/" begins, Escape takes it back.

import { percent, price } from "./format.js";

export class SymbolSearch {
  constructor(input, list, choose) {
    this.input = input;
    this.list = list;
    this.choose = choose;
    this.names = [];
    this.current = "";
    input.addEventListener("focus", () => input.select());
    input.addEventListener("input", () => { if (this.names.includes(this.#typed())) this.#take(this.#typed()); });
    input.addEventListener("change", () => this.#take(this.#best()));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") { this.#take(this.#best()); input.blur(); }
      if (event.key === "Escape") { input.value = this.current; input.blur(); }
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      input.focus();
    });
  }

  show(markets, current) {
    this.names = markets.map((market) => market.symbol);
    if (this.list.dataset.names !== this.names.join()) {
      this.list.dataset.names = this.names.join();
      this.list.replaceChildren(...markets.map((market) => new Option(`${price(market.mark_price)} ${market.change == null ? "" : percent(market.change, 1, true)}`, market.symbol)));
    }
    this.input.disabled = this.names.length === 0;
    if (document.activeElement !== this.input || this.input.value === "") this.input.value = current;
    this.current = current;
  }

  #typed() { return this.input.value.trim().toUpperCase(); }

  // The name itself, else the first that begins with what was typed, else the first that holds it.
  #best() {
    const typed = this.#typed();
    return this.names.find((name) => name === typed) ?? this.names.find((name) => name.startsWith(typed))
      ?? this.names.find((name) => name.includes(typed)) ?? this.current;
  }

  #take(name) {
    this.input.value = name;
    if (name && name !== this.current) { this.current = name; this.choose(name); }
  }
}
