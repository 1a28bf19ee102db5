import fs from 'node:fs';
import path from 'node:path';
import i18next from 'i18next';
import { toError } from '../support/async';
import { MissingValueError, UserError } from './errors';

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
 * @throws UserError that names a file that is no JSON object.
 * @param options.strict a text that misses a value is a MissingValueError. Default: it shows its `{{name}}`.
 */
export async function loadI18n(
  folders: readonly string[],
  defaultLocale: string,
  { strict = false }: { readonly strict?: boolean } = {},
): Promise<I18n> {
  const instance = i18next.createInstance();
  await instance.init({
    fallbackLng: defaultLocale,
    interpolation: { escapeValue: false },
    ...(strict && { missingInterpolationHandler: refuse }),
  });
  for (const folder of folders.filter((each) => fs.existsSync(each))) {
    for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.json'))) {
      instance.addResourceBundle(
        path.basename(file, '.json'),
        'translation',
        read(path.join(folder, file)),
        true,
        true,
      );
    }
  }
  // A text without values is the same every time. Only what is in a file is kept.
  const plain = new Map(Object.keys(instance.store.data).map((locale) => [locale, new Map<string, string>()]));
  return {
    in(locale) {
      const known = plain.get(locale);
      return (key, values) => {
        if (values) return instance.t(key, Object.assign({}, values, { lng: locale }));
        const text = known?.get(key) ?? instance.t(key, { lng: locale, replace: {} });
        if (text !== key) known?.set(key, text);
        return text;
      };
    },
    has: (key, locale) => instance.exists(key, { lng: locale }),
  };
}

function read(file: string): object {
  let texts: unknown;
  try {
    texts = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (thrown) {
    throw new UserError(`${file}: ${toError(thrown).message}`);
  }
  if (typeof texts === 'object' && texts !== null && !Array.isArray(texts)) return texts;
  throw new UserError(`${file}: it should hold an object of texts`);
}

/** @param match placeholder and name. @param options as given to i18next, values under `replace`. */
function refuse(text: string, match: readonly string[], options: object): string {
  const [placeholder = '', name = ''] = match;
  const values: unknown = 'replace' in options ? options.replace : undefined;
  // null is a value: nothing is shown.
  if (typeof values === 'object' && values !== null && Reflect.get(values, name) === null) return '';
  throw new MissingValueError(`the text ${JSON.stringify(text)} is given no value for ${placeholder}`);
}
