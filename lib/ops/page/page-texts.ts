import fs from 'node:fs';
import path from 'node:path';
import type { I18n, Translate } from '../../core/i18n';
import { isLocale, LOCALES, type Locale } from '../../core/locale';

/** The language of a text that another one lacks. */
const FALLBACK: Locale = 'en';

type Values = Readonly<Record<string, unknown>>;

/**
 * The texts of the pages, as `loadI18n` has them, but without i18next, which is larger than they are: a file is read when
 * a text is asked for that no folder before it has. Of texts with a `count`, English has two (`_one`, `_other`), Korean one.
 */
export function pageTexts(folders: readonly string[]): I18n {
  const files = LOCALES.map((locale) => [locale, folders.map((folder) => new TextFile(folder, locale))] as const);
  const byLocale = new Map<string, readonly TextFile[]>(files);
  const find = (locale: string, key: string, values?: Values) => {
    for (const each of new Set([locale, FALLBACK])) {
      const names = typeof values?.count === 'number' ? [`${key}_${formOf(each, values.count)}`, key] : [key];
      for (const name of names) {
        for (const file of byLocale.get(each) ?? []) {
          const text = file.texts[name];
          if (text !== undefined) return text;
        }
      }
    }
    return undefined;
  };
  const translate = (locale: string): Translate => {
    return (key, values) => filled(find(locale, key, values) ?? key, values ?? {});
  };
  return { in: translate, has: (key, locale) => find(isLocale(locale) ? locale : FALLBACK, key) !== undefined };
}

/** @returns the end of the key of the text that goes with so many. */
function formOf(locale: string, count: number): string {
  return locale === 'en' && count === 1 ? 'one' : 'other';
}

function filled(text: string, values: Values): string {
  if (!text.includes('{{')) return text;
  return text.replace(/\{\{(\w+)\}\}/g, (placeholder, name: string) => {
    const value = values[name];
    return value === undefined ? placeholder : String(value ?? '');
  });
}

class TextFile {
  private read: Readonly<Record<string, string>> | undefined;

  constructor(
    private readonly folder: string,
    private readonly locale: Locale,
  ) {}

  /** By `a.b.c`. */
  get texts(): Readonly<Record<string, string>> {
    if (!this.read) {
      const texts: Record<string, string> = Object.create(null);
      flatten(JSON.parse(fs.readFileSync(path.join(this.folder, `${this.locale}.json`), 'utf8')), '', texts);
      this.read = texts;
    }
    return this.read;
  }
}

function flatten(part: object, prefix: string, texts: Record<string, string>): void {
  for (const [name, value] of Object.entries(part) as [string, unknown][]) {
    if (typeof value === 'string') texts[prefix + name] = value;
    else if (typeof value === 'object' && value !== null) flatten(value, `${prefix}${name}.`, texts);
  }
}
