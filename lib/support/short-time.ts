const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** In one unit; above a second of one of which there are two at least: `12 ms`, `90 s`, `5 min`, `30 h`, `12 d`. */
export function shortTime(ms: number): string {
  const [unit, length] = UNITS.find(([, unitMs]) => ms >= (unitMs === 1000 ? 1 : 1.99) * unitMs) ?? ['ms', 1];
  return `${Math.round(Math.max(0, ms) / length)} ${unit}`;
}

/** `3 s ago`, `in 5 min`, or `now`. */
export function fromNow(at: Date, now: number = Date.now()): string {
  const ms = at.getTime() - now;
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `in ${shortTime(ms)}` : `${shortTime(-ms)} ago`;
}

/** In its two greatest units: `3 h 12 min`. */
export function elapsed(ms: number): string {
  const first = UNITS.findIndex(([, unitMs]) => ms >= unitMs);
  if (first === -1) return '0 s';
  let left = ms;
  const parts = UNITS.slice(first, first + 2).map(([unit, unitMs]) => {
    const count = Math.floor(left / unitMs);
    left -= count * unitMs;
    return `${count} ${unit}`;
  });
  return parts.join(' ');
}
