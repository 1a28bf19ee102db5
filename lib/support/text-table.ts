const IS_NUMBER = /^(in )?[\d.,/]+( (ms|s|min|h|d|MB|%))?( ago)?$|^–$/;
/** Letters of East Asia and pictures, which take two columns of a terminal. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/gu;

/** Lines of columns as wide as their widest cell; numbers to the right. The first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const [heading = [], ...body] = rows;
  const columns = heading.map((_, i) => rows.map((row) => row[i] ?? ''));
  const right = columns.map((_, i) => body.every((row) => IS_NUMBER.test(row[i] ?? '')));
  const widths = columns.map((cells) => Math.max(...cells.map(width)));
  const pad = (cell: string, i: number) => {
    const space = ' '.repeat((widths[i] ?? 0) - width(cell));
    return right[i] ? space + cell : cell + space;
  };
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}

/** Columns of a terminal that a text takes. */
function width(text: string): number {
  return [...text].length + (text.match(WIDE)?.length ?? 0);
}
