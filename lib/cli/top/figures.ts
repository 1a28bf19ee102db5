/** Stands for what is not known: never 0. */
export const UNKNOWN = '–';

type Value = number | null | undefined;

function known(value: Value): value is number {
  return value !== null && value !== undefined;
}

/** `4 ms`, `1.2 s`. */
export function time(ms: Value): string {
  if (!known(ms)) return UNKNOWN;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `67 MB`. */
export function megabytes(mb: Value): string {
  return known(mb) ? `${Math.round(mb)} MB` : UNKNOWN;
}

/** `0.4`, `12`: how many a second. */
export function rate(perS: Value): string {
  if (!known(perS)) return UNKNOWN;
  return perS > 0 && perS < 9.95 ? perS.toFixed(1) : String(Math.round(perS));
}

/** `35 %`. */
export function percent(share: Value): string {
  return known(share) ? `${Math.round(share * 100)} %` : UNKNOWN;
}

export function count(value: Value): string {
  return known(value) ? value.toLocaleString('en-US') : UNKNOWN;
}
