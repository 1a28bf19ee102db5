/** What a terminal would obey instead of showing: control codes, ends of lines, and what turns the writing around. */
const OBEYED = /[\p{Cc}\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** One line that does nothing to a terminal: `\x1b` is shown as these four characters. */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => {
    const code = character.charCodeAt(0);
    const hex = code.toString(16);
    return NAMED[character] ?? (code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex}`);
  });
}

/** The same of text that may have several lines. */
export function printableLines(text: string): string[] {
  return text.split(/\r?\n/).map(printable);
}
