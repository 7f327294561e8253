// Whether clusters attract price: what followed once price met large ones, against like moments, as the sink last judged it.

import { make, moment, usd } from "./format.js";

const byId = (id) => document.getElementById(id);
const STAGES = { neared: "came near", entered: "entered", swept: "swept" };
const MEASURES = { towards: ["return", "return towards the cluster, %"], volatility: ["volatility", "realised volatility, %"], executed: ["liquidations", "executed liquidations of the cluster's side, USD"] };
const chosen = { scope: "", stage: "neared" };
let shown = null;

const after = (minutes) => (minutes < 60 ? `${minutes} min` : `${minutes / 60} h`);
const amount = (measure, value) => (measure === "executed" ? usd(value) : value.toFixed(2));

function signed(measure, value, plus = "+") {
  if (value == null) return "–";
  const text = amount(measure, Math.abs(value));
  if (!/[1-9]/.test(text)) return text;
  return `${value < 0 ? "−" : plus}${text}`;
}

// Built once per set of choices, so that the page's refresh takes no focus away.
function choices(id, label, options, current, choose) {
  const group = byId(id) ?? make("div", "", "group");
  const names = JSON.stringify(options);
  if (group.dataset.names !== names) {
    Object.assign(group, { id });
    group.dataset.names = names;
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-label", label);
    group.replaceChildren(...Object.entries(options).map(([value, text]) => {
      const button = make("button", text);
      button.type = "button";
      button.dataset.value = value;
      button.setAttribute("role", "radio");
      button.addEventListener("click", () => { choose(value); evidence(shown); });
      return button;
    }));
  }
  for (const button of group.children) button.setAttribute("aria-checked", button.dataset.value === current);
  return group;
}

function cell(measure, [, difference, low, high, effect]) {
  const known = low != null && high != null;
  const element = make("td", signed(measure, difference), effect === "more" || effect === "less" ? "clear" : "", effect);
  if (known) element.append(make("small", `${signed(measure, low, "")} to ${signed(measure, high, "")}`));
  return element;
}

function table(outcomes) {
  const result = make("table"), head = make("tr");
  head.append(make("th", "after"), ...Object.values(MEASURES).map(([name, title]) => make("th", name, "", title)));
  const lines = outcomes.towards.map(([minutes], row) => {
    const line = make("tr");
    line.append(make("td", after(minutes)), ...Object.keys(MEASURES).map((measure) => cell(measure, outcomes[measure][row])));
    return line;
  });
  result.append(head, ...lines);
  return result;
}

function about(of, scope, cases) {
  const which = scope === "all" ? `${of.symbols} symbol${of.symbols === 1 ? "" : "s"}` : "This symbol";
  const figures = cases ? " Differences, with 95% intervals; bold where 0 lies outside." : "";
  return `${which}, ${moment(of.start)} to ${moment(of.end)} UTC; clusters from ${of.percent_of_adv}% of ADV.${figures}`;
}

export function evidence(picture) {
  shown = picture;
  const { symbol, evidence: judged } = picture.answer;
  const element = byId("evidence");
  if (!judged.own && !judged.all) {
    element.replaceChildren(make("p", "Not judged yet: that begins with the first whole hour of history.", "quiet"));
    return;
  }
  const scopes = { ...(judged.own && { own: symbol }), ...(judged.all && { all: "all symbols" }) };
  // The symbol's own cases where there are enough, else those of all, until a person chooses.
  const best = judged.own?.stages.neared.is_enough || !judged.all ? "own" : "all";
  const scope = chosen.scope in scopes ? chosen.scope : best;
  const of = judged[scope], stage = of.stages[chosen.stage];
  const stages = Object.fromEntries(Object.entries(STAGES).map(([name, text]) => [name, `${text} ${of.stages[name].cases}`]));
  const controls = [
    choices("evidence-scope", "Whose clusters", scopes, scope, (value) => { chosen.scope = value; }),
    choices("evidence-stage", "How price met them, with the number of cases", stages, chosen.stage, (value) => { chosen.stage = value; }),
  ];
  const rest = [make("p", stage.words), ...(stage.cases ? [table(stage.outcomes)] : []), make("p", about(of, scope, stage.cases), "quiet")];
  const body = make("div");
  body.append(...rest);
  if (controls.every((control) => control.parentElement === element)) element.lastElementChild.replaceWith(body);
  else element.replaceChildren(...controls, body);
}
