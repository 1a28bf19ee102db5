import fs from 'node:fs';
import path from 'node:path';
import { LOCALES, type ShippedLocale } from '../../core/config';
import type { I18n } from '../../core/i18n';

/** Folders with texts, in the order of lookup; the first has those of all pages. */
export const TEXTS = ['locales', 'overview/locales', 'jobs/locales'].map((folder) =>
  path.join(__dirname, '..', folder),
);

/** The language used for a text that is missing in another one. */
const FALLBACK: ShippedLocale = 'en';

type Values = Readonly<Record<string, unknown>>;

/**
 * The texts of the pages, with the interface of `loadI18n` but without i18next, which needs more memory than the texts. The
 * texts of a language are read when one of them is needed. Plurals go by `count`: `_one` and `_other` in English, `_other` in
 * Korean.
 */
export function pageTexts(folders: readonly string[]): I18n {
  const read = new Map<string, ReadonlyMap<string, string>>();
  const textsIn = (locale: string) => {
    const texts = read.get(locale) ?? readTexts(folders, locale);
    read.set(locale, texts);
    return texts;
  };
  const find = (locale: string, key: string, count?: unknown) => {
    const own = LOCALES.find((each) => each === locale) ?? FALLBACK;
    for (const each of new Set([own, FALLBACK])) {
      const texts = textsIn(each);
      const plural = each === 'en' && count === 1 ? 'one' : 'other';
      const text = (typeof count === 'number' ? texts.get(`${key}_${plural}`) : undefined) ?? texts.get(key);
      if (text !== undefined) return text;
    }
    return undefined;
  };
  return {
    in: (locale) => (key, values) => filled(find(locale, key, values?.count) ?? key, values ?? {}),
    has: (key, locale) => find(locale, key) !== undefined,
    locales: LOCALES,
  };
}

function filled(text: string, values: Values): string {
  if (!text.includes('{{')) return text;
  return text.replace(/\{\{(\w+)\}\}/g, (placeholder, name: string) => {
    const value = values[name];
    return value === undefined ? placeholder : String(value ?? '');
  });
}

/** The texts of all folders by dotted key, such as `a.b.c`; the first folder that has a text wins. */
function readTexts(folders: readonly string[], locale: string): ReadonlyMap<string, string> {
  const files = folders.map((folder) => fs.readFileSync(path.join(folder, `${locale}.json`), 'utf8'));
  return new Map(files.reverse().flatMap((file) => flattened(JSON.parse(file) as object)));
}

function flattened(part: object, prefix = ''): [key: string, text: string][] {
  return Object.entries(part).flatMap(([name, value]: [string, unknown]) =>
    typeof value === 'string' ? [[prefix + name, value]] : flattened(value as object, `${prefix}${name}.`),
  );
}
