const IS_NUMBER = /^(in )?[\d.,/]+( (ms|s|min|h|d|MB|%))?( ago)?$|^(–|now)?$/;
/** East Asian characters and emoji, which take two columns of a terminal. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
/** Combining marks, joiners and the like, which take none. */
const NARROW = /\p{Mn}|\p{Me}|\p{Cf}/u;
/** Maximum width to which cells are padded: a rare long one does not widen its column. */
const MAX_PADDED = 40;

/**
 * Formats rows as lines, with columns as wide as their widest cell and numbers aligned to the right. The first row is
 * the heading.
 * @param columns width of the terminal, at which lines are cut. Default: nothing is cut.
 */
export function table(rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): string[] {
  const [heading = [], ...body] = rows;
  const right = heading.map((_, i) => body.length > 0 && body.every((row) => IS_NUMBER.test(row[i] ?? '')));
  const widths = heading.map((_, i) => Math.min(MAX_PADDED, Math.max(...rows.map((row) => width(row[i] ?? '')))));
  const pad = (cell: string, i: number) => {
    const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - width(cell)));
    return right[i] ? space + cell : cell + space;
  };
  const lines = rows.map((row) => heading.map((_, i) => pad(row[i] ?? '', i)).join('  '));
  return lines.map((line) => truncate(line.trimEnd(), columns));
}

/** @returns the text, cut with an ellipsis when it takes more columns of a terminal. */
export function truncate(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let cut = '';
  let taken = 0;
  for (const character of text) {
    taken += characterWidth(character);
    if (taken > columns - 1) break;
    cut += character;
  }
  return `${cut}…`;
}

/** @returns the number of columns of a terminal that a text takes. */
export function width(text: string): number {
  let sum = 0;
  for (const character of text) sum += characterWidth(character);
  return sum;
}

function characterWidth(character: string): number {
  if (character < '\u0300') return 1;
  return WIDE.test(character) ? 2 : NARROW.test(character) ? 0 : 1;
}
