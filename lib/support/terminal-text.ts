/** Marks that change the direction of the text around them, and separators that a terminal may take for line ends. */
const DIRECTIONS = /[\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Characters that a terminal executes instead of showing: control codes and line ends. */
const CONTROLS = /\p{Cc}/gu;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Escapes a text to one line that is safe for a terminal: the escape character becomes the four characters `\x1b`. */
export function escapeControls(text: string): string {
  return escapeDirections(text).replace(
    CONTROLS,
    (character) => NAMED[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Escapes what would turn the text that follows: U+202E becomes the six characters `\u202e`. */
export function escapeDirections(text: string): string {
  return text.replace(DIRECTIONS, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Escapes each line of a text. */
export function printableLines(text: string): string[] {
  return text.split(/\r?\n/).map(escapeControls);
}
