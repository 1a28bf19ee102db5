/** @returns the fields of what INFO answers, by name. */
export function readInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split(/\r?\n/).map((line) => [line, line.indexOf(':')] as const);
  return new Map(lines.flatMap(([line, at]) => (at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [])));
}
