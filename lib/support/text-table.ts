const IS_NUMBER = /^(in )?[\d.,/]+( (ms|s|min|h|d|MB|%))?( ago)?$|^(–|now)?$/;
/** Letters of East Asia and pictures, which take two columns of a terminal. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
/** Accents that sit on the letter before, joiners and the like, which take none. */
const NARROW = /\p{Mn}|\p{Me}|\p{Cf}/u;
/** The last column of a table is cut no shorter than this. */
const LEAST = 20;
/** Those before it, when they must be. */
const LEAST_CUT = 8;
/** Cells of a pipe are padded to at most so many. */
const MOST_PADDED = 40;

/**
 * Lines of columns as wide as their widest cell; numbers to the right. The first row is the heading.
 * @param columns how many the terminal has: the last cell of a line is cut to fit. Default: as wide as it comes.
 */
export function table(rows: readonly (readonly string[])[], columns = Number.POSITIVE_INFINITY): string[] {
  const [heading = [], ...body] = rows;
  const right = heading.map((_, i) => body.length > 0 && body.every((row) => IS_NUMBER.test(row[i] ?? '')));
  const widths = heading.map((_, i) => Math.max(...rows.map((row) => width(row[i] ?? ''))));
  narrow(widths, right, columns);
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0);
  const last = Math.max(LEAST, columns - before);
  const pad = (cell: string, i: number) => {
    if (i === heading.length - 1 && !right[i]) return fit(cell, last);
    const room = widths[i] ?? 0;
    const shown = columns === Number.POSITIVE_INFINITY ? cell : fit(cell, room);
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
 * Columns before the last one give way where there is not room for all: the widest first, but neither numbers nor the
 * first, which is what one copies. Into a pipe nothing is cut, and nothing is padded to the width of a rare long cell.
 */
function narrow(widths: number[], right: readonly boolean[], columns: number): void {
  if (columns === Number.POSITIVE_INFINITY) {
    for (const [i, each] of widths.entries()) widths[i] = Math.min(each, MOST_PADDED);
    return;
  }
  const taken = () => widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0) + LEAST;
  while (taken() > columns) {
    const givable = [...widths.keys()].filter(
      (i) => i > 0 && i < widths.length - 1 && !right[i] && (widths[i] ?? 0) > LEAST_CUT,
    );
    const widest = givable.sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0))[0];
    if (widest === undefined) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

/** The text, cut with an ellipsis where it takes more columns of a terminal. */
export function fit(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let cut = '';
  let taken = 0;
  for (const character of text) {
    taken += widthOf(character);
    if (taken > columns - 1) break;
    cut += character;
  }
  return `${cut}…`;
}

/** Columns of a terminal that a text takes. */
export function width(text: string): number {
  let sum = 0;
  for (const character of text) sum += widthOf(character);
  return sum;
}

function widthOf(character: string): number {
  if (character < '\u0300') return 1;
  return WIDE.test(character) ? 2 : NARROW.test(character) ? 0 : 1;
}

/** The words on lines of at most so many columns; a longer word has a line of its own. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && width(last) + 1 + width(word) <= columns) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
