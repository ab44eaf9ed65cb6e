/** Sizes, times and keys as a person reads them. */
import { safeDecodeKey } from "../engines/errors.ts";
import { showKey } from "../store/show.ts";
import { type Html, markup } from "./html.ts";

/** `1,234,567`. */
export function count(number: number): string {
  return number.toLocaleString("en");
}

/** `1,234 entries`, `1 entry`. */
export function counted(number: number, one: string, many: string): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** `1.2 kB`: in steps of 1,000. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  for (; bytes >= 999.5 && i < units.length - 1; i++) bytes /= 1_000;
  return `${i > 0 && bytes < 9.95 ? bytes.toFixed(1) : Math.round(bytes)} ${units[i]}`;
}

const UNITS: [name: string, ms: number][] = [
  ["y", 365 * 86_400_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1_000],
];

/** `3 h`: the largest unit that there is one of; less than a second in ms. */
export function duration(ms: number): string {
  const unit = UNITS.find(([, length]) => ms >= length);
  return unit === undefined ? `${Math.round(ms)} ms` : `${Math.floor(ms / unit[1])} ${unit[0]}`;
}

/** A time as seen from now, `in 3 h`, `just now` or `2 min ago`, with the exact one when it is pointed at. */
export function moment(time: number | undefined, now: number = Date.now()): Html {
  if (time === undefined || time === Infinity) return markup`<span class="dim">never</span>`;
  const exact = new Date(time);
  const iso = Number.isNaN(exact.getTime()) ? `${time} ms` : exact.toISOString();
  const away = duration(Math.abs(time - now));
  const isNow = Math.abs(time - now) < 1_000;
  return markup`<time datetime="${iso}" title="${iso}">${
    isNow ? "just now" : time > now ? `in ${away}` : `${away} ago`
  }</time>`;
}

/** A text that is no longer than so many characters. */
export function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most).toWellFormed()}…` : text;
}

/** The key of a canonical text, for a person. */
export function keyLabel(text: string, most = Infinity): string {
  return shortened(showKey(safeDecodeKey(text)), most);
}
