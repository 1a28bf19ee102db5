import fs from 'node:fs';
import path from 'node:path';
import i18next from 'i18next';

/** Looks a key up in one locale; `{{name}}` in the text is replaced from `values`, never HTML-escaped. */
export type Translate = (key: string, values?: Readonly<Record<string, unknown>>) => string;

export interface I18n {
  /** A translator bound to one locale: no shared state, so concurrent jobs cannot disturb each other. */
  in(locale: string): Translate;
  /** Whether the key has a text in that locale or in the default one. */
  has(key: string, locale: string): boolean;
}

/**
 * Reads `<folder>/<locale>.json` of each folder once (later folders win) and never writes to them. A folder that is
 * missing holds none.
 * A key that a locale lacks falls back to the default locale, then to the key itself.
 */
export async function loadI18n(folders: readonly string[], defaultLocale: string): Promise<I18n> {
  const instance = i18next.createInstance();
  await instance.init({ fallbackLng: defaultLocale, interpolation: { escapeValue: false } });
  for (const folder of folders.filter((each) => fs.existsSync(each))) {
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.json'))) {
      const texts: unknown = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
      instance.addResourceBundle(path.basename(file, '.json'), 'translation', texts, true, true);
    }
  }
  return {
    in(locale) {
      const translate = instance.getFixedT(locale);
      return (key, values) => translate(key, { ...values });
    },
    has: (key, locale) => instance.exists(key, { lng: locale }),
  };
}
