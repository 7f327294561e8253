// Numbers and times as a trader reads them; every value leaves here with its unit.

const COMPACT = [[1e9, "B"], [1e6, "M"], [1e3, "k"]];

export function usd(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, letter] of COMPACT) {
    if (size >= unit * 0.9995) return `$${(value / unit).toFixed(size >= 99.95 * unit ? 0 : size >= 9.995 * unit ? 1 : 2)}${letter}`;
  }
  return `$${value.toFixed(0)}`;
}

export const fullUsd = (value) => `$${Math.round(value).toLocaleString("en-US")}`;

// Decimals that distinguish two bucket edges at this price.
export function decimals(price) {
  return price >= 1000 ? 1 : Math.min(12, Math.max(2, 4 - Math.floor(Math.log10(price))));
}

export function price(value, digits = decimals(value)) {
  if (value == null || !(value > 0)) return "–";
  return `$${value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })}`;
}

export function percent(fraction, digits = 2, signed = false) {
  if (fraction == null || !Number.isFinite(fraction)) return "–";
  const text = `${(Math.abs(fraction) * 100).toFixed(digits)}%`;
  if (fraction < 0) return `−${text}`;
  return signed ? `+${text}` : text;
}

// A share of ADV: as many digits as it needs.
export function share(value) {
  if (value == null || !Number.isFinite(value)) return "–";
  const p = value * 100;
  return `${p >= 10 ? p.toFixed(0) : p >= 1 ? p.toFixed(1) : p >= 0.1 ? p.toFixed(2) : p.toPrecision(1)}%`;
}

export function age(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 100) return `${seconds.toFixed(0)} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(0)} h` : `${(seconds / 86400).toFixed(0)} d`;
}

export function countdown(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60000));
  return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

export const clock = (time) => CLOCK.format(time);
export const moment = (time) => `${DAY.format(time)} ${CLOCK.format(time)}`;

// An element with its text; nothing is ever set as HTML.
export function make(tag, text = "", className = "", title = "") {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (className) element.className = className;
  if (title) element.title = title;
  return element;
}
