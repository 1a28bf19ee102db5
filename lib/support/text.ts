import { createHmac, timingSafeEqual } from 'node:crypto';
import net from 'node:net';

/** Minimum length of a prefix; a shorter one would match too many words. */
const BEGINNING = 3;

/**
 * @returns the known word that a mistyped one probably means, or that begins with it; undefined when there is none.
 */
export function didYouMean(word: string, known: Iterable<string>): string | undefined {
  const most = Math.max(1, Math.floor(word.length / 3));
  let best: { readonly word: string; readonly steps: number } | undefined;
  const words = [...known];
  for (const candidate of words) {
    const steps = distance(word.toLowerCase(), candidate.toLowerCase());
    if (steps <= most && steps < (best?.steps ?? Number.POSITIVE_INFINITY)) best = { word: candidate, steps };
  }
  if (best || word.length < BEGINNING) return best?.word;
  return words.find((candidate) => candidate.toLowerCase().startsWith(word.toLowerCase()));
}

/** Edit distance: letters inserted, deleted, changed or swapped with their neighbour (optimal string alignment). */
function distance(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const changed = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      let least = Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      if (swapped) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[to.length] ?? 0;
}

/** Formats a number as `1,204`; `Intl` would load its tables for the same. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Formats a count with its noun: `1 job`, `1,204 jobs`. */
export function pluralize(count: number, thing: string): string {
  return `${countText(count)} ${thing}${count === 1 ? '' : 's'}`;
}

/** Marks that change the direction of the text around them, and separators that a terminal may take for line ends. */
const DIRECTIONS = /[\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Characters that a terminal executes instead of showing: control codes and line ends. */
const CONTROLS = /\p{Cc}/gu;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Escapes a text to one line that is safe for a terminal: the escape character becomes the four characters `\x1b`. */
export function escapeControls(text: string): string {
  return escapeDirections(text).replace(
    CONTROLS,
    (character) => NAMED[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Escapes what would turn the text that follows: U+202E becomes the six characters `\u202e`. */
export function escapeDirections(text: string): string {
  return text.replace(DIRECTIONS, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Escapes each line of a text. */
export function printableLines(text: string): string[] {
  return text.split(/\r?\n/).map(escapeControls);
}

/** Compares by code units, since `localeCompare` loads the tables of every language: 3 MB per process. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Compares texts, with the numbers in them by value: `web.2` comes before `web.10`. */
export function byTextAndNumber(a: string, b: string): number {
  const [one, other] = [a, b].map((text) => text.split(/(\d+)/)) as [string[], string[]];
  for (const [i, part] of one.entries()) {
    const its = other[i] ?? '';
    // Parts at odd indexes are numbers.
    const order = (i % 2 === 1 && Number(part) - Number(its)) || compareText(part, its);
    if (order !== 0) return order;
  }
  return one.length - other.length;
}

/** Compares secrets in constant time. */
export function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHmac('sha256', 'compare').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** @returns the key by which requests of an address are counted: for IPv6 its /64, since one subscriber has all of it. */
export function clientNetwork(ip: string): string {
  const plain = ip.replace(/^::ffff:/i, '').replace(/%.*$/, '');
  if (!net.isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}
