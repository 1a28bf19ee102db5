const IS_NUMBER = /^[\d/]+( (ms|MB))?$|^–$/;

/** Lines of columns as wide as their widest cell; numbers to the right. The first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const [heading = [], ...body] = rows;
  const columns = heading.map((_, i) => rows.map((row) => row[i] ?? ''));
  const right = columns.map((_, i) => body.every((row) => IS_NUMBER.test(row[i] ?? '')));
  const widths = columns.map((cells) => Math.max(...cells.map((cell) => cell.length)));
  const pad = (cell: string, i: number) => (right[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0));
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}
