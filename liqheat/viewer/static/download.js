// What is seen, to take away: the figure as PNG, its cells as CSV.

const stamp = (time) => new Date(time).toISOString().replace(/\.\d+Z$/, "Z");

function save(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

const nameOf = (picture, ending) => `liqheat-${picture.answer.symbol}-${stamp(picture.answer.latest).replace(/:/g, "")}.${ending}`;

export async function png(picture, element) {
  const { clientWidth: width, clientHeight: height } = element;
  const background = getComputedStyle(document.documentElement).getPropertyValue("--panel").trim();
  element.layout.paper_bgcolor = background;
  save(await window.Plotly.toImage(element, { format: "png", width, height, scale: 2 }), nameOf(picture, "png"));
}

// One line per cell that is drawn: nothing that the filters, the zoom or the slider leave out.
export function csvText(picture, least) {
  const { answer } = picture;
  const marks = new Map(answer.price.column.map((column, i) => [column, answer.price.close[i]]));
  const lines = [`window_start,price_low,price_high,side,${answer.measure}_usd,mark_price`];
  for (let column = 0; column < picture.columns; column++) {
    for (let row = 0; row < picture.rows; row++) {
      for (const [side, cells] of [["long", picture.long], ["short", picture.short]]) {
        const value = cells[row * picture.columns + column];
        if (value <= 0 || value < least) continue;
        lines.push([stamp(picture.time(column)), picture.edge(row), picture.edge(row + 1), side, Math.round(value), marks.get(column) ?? ""].join());
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

export function csv(picture, least) {
  const url = URL.createObjectURL(new Blob([csvText(picture, least)], { type: "text/csv" }));
  save(url, nameOf(picture, "csv"));
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
