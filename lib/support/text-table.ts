const IS_NUMBER = /^(in )?[\d.,/]+( (ms|s|min|h|d|MB|%))?( ago)?$|^(–|now)?$/;
/** East Asian characters and emoji, which take two columns of a terminal. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
/** Combining marks, joiners and the like, which take none. */
const NARROW = /\p{Mn}|\p{Me}|\p{Cf}/u;
/** Minimum width of the last column of a table. */
const MIN_WIDTH = 20;
/** Minimum width of other columns when they must be cut. */
const MIN_CUT_WIDTH = 8;
/** Maximum width to which cells are padded when the output is a pipe. */
const MAX_PADDED = 40;

/**
 * Formats rows as lines, with columns as wide as their widest cell and numbers aligned to the right. The first row is
 * the heading.
 * @param columns width of the terminal; cells are cut to fit. Default: nothing is cut.
 */
export function table(rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): string[] {
  const [heading = [], ...body] = rows;
  const right = heading.map((_, i) => body.length > 0 && body.every((row) => IS_NUMBER.test(row[i] ?? '')));
  const widths = heading.map((_, i) => Math.max(...rows.map((row) => width(row[i] ?? ''))));
  narrow(widths, right, columns);
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0);
  const last = Math.max(MIN_WIDTH, columns - before);
  const pad = (cell: string, i: number) => {
    if (i === heading.length - 1 && !right[i]) return truncate(cell, last);
    const room = widths[i] ?? 0;
    const shown = columns === Number.POSITIVE_INFINITY ? cell : truncate(cell, room);
    const space = ' '.repeat(Math.max(0, room - width(shown)));
    return right[i] ? space + shown : shown + space;
  };
  return rows.map((row) =>
    heading
      .map((_, i) => pad(row[i] ?? '', i))
      .join('  ')
      .trimEnd(),
  );
}

/**
 * Narrows columns before the last one when there is not enough room: the widest first, but neither numbers nor the
 * first column, which people copy. For a pipe nothing is cut, and a rare long cell does not widen its column.
 */
function narrow(widths: number[], right: readonly boolean[], columns: number): void {
  if (columns === Number.POSITIVE_INFINITY) {
    for (const [i, each] of widths.entries()) widths[i] = Math.min(each, MAX_PADDED);
    return;
  }
  const taken = () => widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0) + MIN_WIDTH;
  while (taken() > columns) {
    const givable = [...widths.keys()].filter(
      (i) => i > 0 && i < widths.length - 1 && !right[i] && (widths[i] ?? 0) > MIN_CUT_WIDTH,
    );
    const widest = givable.sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0))[0];
    if (widest === undefined) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
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

/** Wraps a text into lines of at most `columns`; a longer word gets a line of its own. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && width(last) + 1 + width(word) <= columns) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
