// How Grafana's heatmap panel names and orders the rows of frames, by its own @grafana/data.
// Reads a JSON list of frames (Grafana's wire format) from standard input; writes for each
// {names: as the frame has them, numeric: whether the panel takes them for prices, drawn: bottom to top}.
"use strict";

const { readFileSync } = require("node:fs");
const { FieldType, dataFrameFromJSON, getFieldDisplayName } = require("@grafana/data");

// The panel reads names as Prometheus writes bucket bounds, and orders them only if every one is a number.
function bound(name) {
  if (name === "+Inf") return Infinity;
  if (name === "-Inf") return -Infinity;
  return parseFloat(name);
}

const answers = JSON.parse(readFileSync(0, "utf-8")).map((wire) => {
  const frame = dataFrameFromJSON(wire);
  if (frame.fields[0].type !== FieldType.time) throw new Error(`The first field is no time: ${frame.fields[0].name}`);
  const names = frame.fields
    .slice(1)
    .filter((field) => field.type === FieldType.number)
    .map((field) => getFieldDisplayName(field, frame, [frame]));
  const numeric = names.every((name) => !Number.isNaN(bound(name)));
  const drawn = numeric ? [...names].sort((one, other) => bound(one) - bound(other)) : names;
  return { names, numeric, drawn };
});

process.stdout.write(JSON.stringify(answers));
