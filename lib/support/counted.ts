/** Formats a number as `1,204`; `Intl` would load its tables for the same. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Formats a count with its noun: `1 job`, `1,204 jobs`. */
export function pluralize(count: number, thing: string): string {
  return `${countText(count)} ${thing}${count === 1 ? '' : 's'}`;
}
