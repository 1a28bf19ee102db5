/**
 * Wordings that readers have stumbled over, by language: a second word for the same thing, untrue sentences, Korean particles
 * chosen without knowing the word before them. Tests check the locale files and the rendered pages against them.
 */
export const FORBIDDEN: Readonly<Record<'en' | 'ko', readonly RegExp[]>> = {
  en: [
    /Nothing was sent since/,
    /What is to become of/,
    /places are taken/,
    /\bAll together\b/,
    /the last of 1\b/,
    /used up (its|their) attempts/,
    /\bBegun\b/,
    /\bDelayed\b/,
    /\bIn hand now\b/,
    /^Classes$/m,
    /Request or job/,
  ],
  ko: [
    /대기열/,
    /멈추기/,
    /중단/,
    /사건/,
    /맥락/,
    /등록/,
    /언제/,
    /^반복$/m,
    /미룸/,
    /소식 없음/,
    /모두 합쳐/,
    /(^|\s)쪽|\d쪽/m,
    // Both particles at once, as the word was unknown. The second may be in brackets or after a slash.
    /(이|가|을|를|은|는|와|과)[(/](이|가|을|를|은|는|와|과)\)?/,
    /\(으\)로/,
    // The name of an error is missing between the duration of a run and its place.
    /만에 \S+, pid \d+에서/,
    // Untranslated.
    /\b(the control socket|phased-restart|requested by|last of|only attempt)\b/,
    /\w+Job on \w+/,
  ],
};

/** Values whose ending is always the same, so that a particle may follow: a count with its 개, a server's name, a size. */
const KNOWN_END = new Set(['what', 'who', 'server', 'limit']);
const PARTICLE = /\{\{(\w+)\}\}(이|가|을|를|은|는|와|과|로|으로)(?=[\s.,:)]|$)/g;

/** @returns the wordings in a text that readers should not see. */
export function forbiddenIn(text: string, locale: 'en' | 'ko'): string[] {
  const found = FORBIDDEN[locale].flatMap((pattern) => pattern.exec(text)?.[0] ?? []);
  if (locale === 'en') return found;
  const particles = [...text.matchAll(PARTICLE)].filter(([, name = '']) => !KNOWN_END.has(name));
  return [...found, ...particles.map(([all]) => all)];
}
