/** The order of code units. `localeCompare` has the tables of every language read: 3 MB for each process that uses it. */
export function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The same, but numbers in the texts by their size: `web.2` comes before `web.10`. */
export function byTextAndNumber(a: string, b: string): number {
  const [one, other] = [a, b].map((text) => text.split(/(\d+)/)) as [string[], string[]];
  for (const [i, part] of one.entries()) {
    const its = other[i] ?? '';
    // Every second part is a number.
    const order = (i % 2 === 1 && Number(part) - Number(its)) || byText(part, its);
    if (order !== 0) return order;
  }
  return one.length - other.length;
}
