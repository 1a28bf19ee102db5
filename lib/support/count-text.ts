/** `1,204`. */
export function countText(count: number): string {
  return count.toLocaleString('en-US');
}

/** `1 job`, `1,204 jobs`. */
export function countOf(count: number, thing: string): string {
  return `${countText(count)} ${thing}${count === 1 ? '' : 's'}`;
}
