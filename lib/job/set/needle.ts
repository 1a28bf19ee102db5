/** What to look for in a text without regard to the case of its letters (filter-lua.ts). */
export interface Needle {
  /** With small letters. */
  readonly text: string;
  /** Of `text`, in bytes. */
  readonly length: number;
  /** All forms of a part of the text that is rarely met. */
  readonly parts: readonly string[];
  /** Where in the text that part is, in bytes. */
  readonly offset: number;
}

/** Characters of JSON and of stack traces, the most frequent first; others are rarer still. */
const FREQUENT = ' etaonisrl/"0:.,1d2cu345678h9mpfgb_-{}[]wyvkxjqz';
const LONGEST_PART = 4;
const MOST_LETTERS = 2;

/**
 * The texts to look for. Lua knows no letters but A to Z, so that a word with a capital beyond them is looked for in
 * both forms.
 */
export function plainNeedles(text: string): string[] {
  return [...new Set([text.toLowerCase(), asciiLower(text.toUpperCase()), asciiLower(text)])];
}

/** The same in JSON: as they stand within a string; and as given, for who types `"userId":7`. */
export function jsonNeedles(text: string): string[] {
  const needles = plainNeedles(text);
  return [...new Set([...needles.map((needle) => JSON.stringify(needle).slice(1, -1)), ...needles])];
}

export function toNeedle(text: string): Needle {
  const characters = Array.from(text);
  let best = { start: 0, part: characters.slice(0, 1), rarity: -1 };
  for (let start = 0; start < characters.length; start++) {
    for (let length = 1; length <= LONGEST_PART && start + length <= characters.length; length++) {
      const part = characters.slice(start, start + length);
      const rarity = part.reduce((sum, character) => sum + rarityOf(character), 0);
      if (part.filter(isLetter).length <= MOST_LETTERS && rarity > best.rarity) best = { start, part, rarity };
    }
  }
  const before = characters.slice(0, best.start).join('');
  return { text, length: Buffer.byteLength(text), parts: formsOf(best.part), offset: Buffer.byteLength(before) };
}

function rarityOf(character: string): number {
  const place = FREQUENT.indexOf(character);
  return 4 + (place < 0 ? FREQUENT.length : place);
}

function isLetter(character: string): boolean {
  return /^[a-z]$/i.test(character);
}

/** With each letter small and capital. */
function formsOf(part: readonly string[]): string[] {
  return part.reduce<string[]>(
    (forms, character) =>
      forms.flatMap((form) =>
        isLetter(character) ? [form + character, form + character.toUpperCase()] : [form + character],
      ),
    [''],
  );
}

function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
