// The map in memory: dense arrays over columns and rows, kept up to date from the server's sparse answers.

const WIDTHS = { "<u2": Uint16Array, "<f4": Float32Array };

function unpack(text, dtype) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new WIDTHS[dtype](bytes.buffer);
}

export class Picture {
  constructor(answer) {
    this.columns = answer.columns;
    this.rows = answer.grid.edges.length - 1;
    this.step = answer.step;
    this.start = answer.start;
    this.grid = answer.grid;
    this.long = new Float32Array(this.rows * this.columns);
    this.short = new Float32Array(this.rows * this.columns);
    this.take(answer);
  }

  // Whether `answer` continues this picture, or needs a new one.
  continuedBy(answer) {
    return answer.grid.name === this.grid.name && answer.step === this.step
      && answer.start >= this.start && answer.since > answer.start;
  }

  take(answer) {
    const moved = (answer.start - this.start) / this.step;
    if (moved > 0) {
      for (let row = 0; row < this.rows; row++) {
        const from = row * this.columns;
        for (const cells of [this.long, this.short]) {
          cells.copyWithin(from, from + Math.min(moved, this.columns), from + this.columns);
        }
      }
    }
    this.start = answer.start;
    this.answer = answer;
    const first = (answer.since - answer.start) / this.step;
    for (let row = 0; row < this.rows; row++) {
      this.long.fill(0, row * this.columns + first, (row + 1) * this.columns);
      this.short.fill(0, row * this.columns + first, (row + 1) * this.columns);
    }
    const column = unpack(answer.cells.column, "<u2");
    const row = unpack(answer.cells.row, "<u2");
    const long = unpack(answer.cells.long, "<f4");
    const short = unpack(answer.cells.short, "<f4");
    for (let i = 0; i < column.length; i++) {
      const cell = row[i] * this.columns + column[i];
      this.long[cell] = long[i];
      this.short[cell] = short[i];
    }
    this.#takeCurrent(answer.current);
  }

  // The map now, which is also the last column: each venue's latest minute, whichever turned first.
  #takeCurrent(current) {
    this.now = { long: new Float64Array(this.rows), short: new Float64Array(this.rows), venues: new Map(), observed: 0, total: 0 };
    for (const [row, venue, basis, long, short] of current) {
      this.now.long[row] += long;
      this.now.short[row] += short;
      if (!this.now.venues.has(row)) this.now.venues.set(row, []);
      this.now.venues.get(row).push([venue, basis, long + short]);
      this.now.total += long + short;
      if (basis === "observed") this.now.observed += long + short;
    }
    for (let row = 0; row < this.rows; row++) {
      this.long[(row + 1) * this.columns - 1] = this.now.long[row];
      this.short[(row + 1) * this.columns - 1] = this.now.short[row];
    }
  }

  // First column in which there is a price or anything on the map.
  get first() {
    const priced = this.answer.price.column[0] ?? this.columns - 1;
    for (let column = 0; column < priced; column++) {
      for (let row = 0; row < this.rows; row++) if (this.long[row * this.columns + column] || this.short[row * this.columns + column]) return column;
    }
    return priced;
  }

  edge(row) { return this.grid.edges[row]; }
  middle(row) { return (this.grid.edges[row] + this.grid.edges[row + 1]) / 2; }
  time(column) { return this.start + column * this.step; }

  get mark() {
    const close = this.answer.price.close;
    return close[close.length - 1];
  }

  // Notional within `percent` of the mark price on each side, USD.
  within(percent) {
    const low = this.mark * (1 - percent / 100), high = this.mark * (1 + percent / 100);
    const sums = { long: 0, short: 0 };
    for (let row = 0; row < this.rows; row++) {
      if (this.middle(row) >= low) sums.long += this.now.long[row];
      if (this.middle(row) <= high) sums.short += this.now.short[row];
    }
    return sums;
  }

  // The `count` rows of a side with the most notional, in falling price.
  heaviest(side, count) {
    return Array.from(this.now[side], (value, row) => ({ row, value }))
      .filter((level) => level.value > 0)
      .sort((a, b) => b.value - a.value)
      .slice(0, count)
      .sort((a, b) => b.row - a.row);
  }
}
