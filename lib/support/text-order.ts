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
