// The page's address carries the whole view: what is read from it at the start, and written back at each change.

export const LISTS = ["venues", "bases", "bands"];
const WORDS = { symbol: "", range: "6h", span: "10", scale: "log", measure: "at_risk", style: "line" };
const NUMBERS = ["least", "what", "from", "to", "low", "high"];

// The state that an address describes; the lists are null until it is known what there is to choose from.
export function read(search) {
  const query = new URLSearchParams(search);
  const state = { venues: null, bases: null, bands: null };
  for (const [name, usual] of Object.entries(WORDS)) state[name] = query.get(name) ?? usual;
  for (const name of NUMBERS) {
    const value = Number(query.get(name));
    state[name] = Number.isFinite(value) && value > 0 ? value : 0;
  }
  if (!(state.from < state.to)) state.from = state.to = 0;
  if (!(state.low < state.high)) state.low = state.high = 0;
  return state;
}

export function chosen(state, offered, name) {
  const set = state[name];
  return set && set.size < offered[name].length ? [...set].join() : null;
}

// What the server is asked for.
export function question(state, offered) {
  const query = new URLSearchParams({ symbol: state.symbol, range: state.range, span: state.span });
  if (state.measure !== WORDS.measure) query.set("measure", state.measure);
  for (const name of LISTS) {
    const value = chosen(state, offered, name);
    if (value !== null) query.set(name, value);
  }
  for (const name of ["from", "to", "low", "high"]) if (state[name]) query.set(name, state[name]);
  return query;
}

// The address of the view: the question, and how its answer is drawn.
export function write(state, offered) {
  const query = question(state, offered);
  for (const name of ["scale", "style"]) if (state[name] !== WORDS[name]) query.set(name, state[name]);
  for (const name of ["least", "what"]) if (state[name]) query.set(name, state[name]);
  return `?${query}`;
}
