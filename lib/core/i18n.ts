import fs from 'node:fs';
import path from 'node:path';
import i18next from 'i18next';
import { toError } from '../support/async';
import { MissingValueError, UserError } from './errors';

/** Looks up a key in one locale; `{{name}}` in the text is replaced from `values`, without HTML escaping. */
export type Translate = (key: string, values?: Readonly<Record<string, unknown>>) => string;

export interface I18n {
  /** @returns a translator for one locale, without shared state, so concurrent jobs do not affect each other. */
  in(locale: string): Translate;
  /** @returns true when the key has a text in that locale or in the default one. */
  has(key: string, locale: string): boolean;
}

/** The texts of files. */
export interface LoadedI18n extends I18n {
  /** @returns true when the key has a text in that locale itself, or one for counts. */
  hasOwn(key: string, locale: string): boolean;
  /** The locales that there is a file of. */
  readonly locales: readonly string[];
}

/**
 * Reads `<folder>/<locale>.json` of each folder once; later folders win, and missing ones count as empty. A key that a
 * locale lacks falls back to the default locale, then to the key itself.
 * @param options.strict true: a text without one of its values throws a MissingValueError. Default: `{{name}}` is
 * shown.
 * @throws UserError that names a file that is no JSON object.
 */
export async function loadI18n(
  folders: readonly string[],
  defaultLocale: string,
  { strict = false }: { readonly strict?: boolean } = {},
): Promise<LoadedI18n> {
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
  // Texts without values are cached, since they never change. Missing keys are not, since there may be any number.
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
    hasOwn: (key, locale) =>
      [key, `${key}_other`].some((each) => instance.getResource(locale, 'translation', each) !== undefined),
    locales: Object.keys(instance.store.data),
  };
}

function read(file: string): object {
  let texts: unknown;
  try {
    texts = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (thrown) {
    throw new UserError(`${file}: it is not valid JSON, ${toError(thrown).message}: mend it`);
  }
  if (typeof texts === 'object' && texts !== null && !Array.isArray(texts)) return texts;
  throw new UserError(`${file}: it should hold an object of texts: { "greeting": "Hello" }`);
}

/** @param match placeholder and name. @param options those of i18next, with the values under `replace`. */
function refuse(text: string, match: readonly string[], options: object): string {
  const [placeholder = '', name = ''] = match;
  const values: unknown = 'replace' in options ? options.replace : undefined;
  // null is a value and shows nothing.
  if (typeof values === 'object' && values !== null && Reflect.get(values, name) === null) return '';
  throw new MissingValueError(`the text ${JSON.stringify(text)} is given no value for ${placeholder}`);
}
