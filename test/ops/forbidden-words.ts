/**
 * What readers have stumbled over, by language: words for one thing that had two, sentences that were not true, particles
 * that show that nobody knew the word before them. Held against the files of texts, and against pages as they are shown.
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
    // Both particles, for want of knowing the word; the second may stand in brackets or behind a stroke.
    /(이|가|을|를|은|는|와|과)[(/](이|가|을|를|은|는|와|과)\)?/,
    /\(으\)로/,
    // Between the time that a run took and where it was stood the error's name.
    /만에 \S+, pid \d+에서/,
    // Left in English.
    /\b(the control socket|phased-restart|requested by|last of|only attempt)\b/,
    /\w+Job on \w+/,
  ],
};

/** Values that end as all of their kind do, so that a particle may follow: a count with its 개, a server's name, a size. */
const KNOWN_END = new Set(['what', 'who', 'server', 'limit']);
const PARTICLE = /\{\{(\w+)\}\}(이|가|을|를|은|는|와|과|로|으로)(?=[\s.,:)]|$)/g;

/** @returns what of a text a reader should not see. */
export function forbiddenIn(text: string, locale: 'en' | 'ko'): string[] {
  const found = FORBIDDEN[locale].flatMap((pattern) => pattern.exec(text)?.[0] ?? []);
  if (locale === 'en') return found;
  const particles = [...text.matchAll(PARTICLE)].filter(([, name = '']) => !KNOWN_END.has(name));
  return [...found, ...particles.map(([all]) => all)];
}
