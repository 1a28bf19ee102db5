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
 * The texts of the pages, with the interface of `loadI18n` but without i18next, which needs more memory than they do.
 * A file is read when no earlier folder has a text. Plurals by `count`: `_one` and `_other` in English, `_other` in
 * Korean.
 */
export function pageTexts(folders: readonly string[]): I18n {
  const textFiles = (locale: ShippedLocale) => folders.map((folder) => new TextFile(folder, locale));
  const usual = textFiles(FALLBACK);
  const files = new Map<string, readonly TextFile[]>(
    LOCALES.map((locale) => [locale, locale === FALLBACK ? usual : [...textFiles(locale), ...usual]]),
  );
  const find = (locale: string, key: string, values?: Values) => {
    const count = typeof values?.count === 'number' ? values.count : undefined;
    for (const file of files.get(locale) ?? usual) {
      const text = file.find(key, count);
      if (text !== undefined) return text;
    }
    return undefined;
  };
  return {
    in: (locale) => (key, values) => filled(find(locale, key, values) ?? key, values ?? {}),
    has: (key, locale) => find(locale, key) !== undefined,
    locales: LOCALES,
  };
}

/** @returns the suffix of the key for a count. */
function pluralForm(locale: string, count: number): string {
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
    private readonly locale: ShippedLocale,
  ) {}

  /** @param count with a count, its plural form is looked up before the key itself. */
  find(key: string, count: number | undefined): string | undefined {
    const { texts } = this;
    return (count === undefined ? undefined : texts[`${key}_${pluralForm(this.locale, count)}`]) ?? texts[key];
  }

  /** The texts by dotted key, such as `a.b.c`. */
  private get texts(): Readonly<Record<string, string>> {
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
