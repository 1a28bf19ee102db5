import fs from 'node:fs';
import path from 'node:path';
import { LOCALES } from './config';

/** @returns the language tag in its canonical form, `pt-br` as `pt-BR`; undefined where it is not well-formed (BCP 47). */
export function canonicalLocale(tag: string): string | undefined {
  try {
    return Intl.getCanonicalLocales(tag)[0];
  } catch {
    return undefined;
  }
}

/** @returns the locale and those that it is a variety of, the nearest first: `pt-BR`, `pt`. */
export function withParents(locale: string): string[] {
  const parts = locale.split('-');
  return parts.map((_, index) => parts.slice(0, parts.length - index).join('-'));
}

/** @returns the files of texts in a folder by locale; under undefined those whose name is not a language tag. */
export function textFiles(folder: string): ReadonlyMap<string | undefined, readonly string[]> {
  const files = new Map<string | undefined, string[]>();
  if (!fs.existsSync(folder)) return files;
  for (const name of fs
    .readdirSync(folder)
    .filter((each) => each.endsWith('.json'))
    .sort()) {
    const locale = canonicalLocale(path.basename(name, '.json'));
    files.set(locale, [...(files.get(locale) ?? []), path.join(folder, name)]);
  }
  return files;
}

/** @returns the locales that an app has, given those of its files: without any, those that Catamount has. */
export function localesOrShipped(found: readonly string[]): readonly string[] {
  return found.length > 0 ? found : LOCALES;
}

export function readLocales(folder: string): readonly string[] {
  return localesOrShipped([...textFiles(folder).keys()].filter((locale) => locale !== undefined));
}

/**
 * @param requested a locale, with `-` or `_`, in any case.
 * @returns the offered one that suits it: itself, what it is a variety of, or a variety of it; undefined for none.
 */
export function matchLocale(requested: string, offered: readonly string[]): string | undefined {
  const tag = canonicalLocale(requested.replaceAll('_', '-'));
  if (tag === undefined) return undefined;
  const exact = withParents(tag).find((each) => offered.includes(each));
  return exact ?? offered.find((each) => each.startsWith(`${tag}-`));
}

/** A text that was shown in another language. */
export interface MissingText {
  readonly key: string;
  readonly locale: string;
  /** The locale of the text that was shown. */
  readonly shown: string;
}

/** @returns the sentence about a text that was shown in another language, for the log. */
export function missingTextWords({ key, locale, shown }: MissingText): string {
  return `the text ${key} is missing in ${locale}, so that of ${shown} is shown: add it to ${locale}.json`;
}
