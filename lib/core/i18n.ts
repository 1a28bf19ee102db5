import fs from 'node:fs';
import i18next from 'i18next';
import { toError } from '../support/to-error';
import { EXIT, MissingValueError, UserError } from './errors';
import { canonicalLocale, type MissingText, textFiles, withParents } from './locales';

/** Looks up a key in one locale; `{{name}}` in the text is replaced from `values`, without HTML escaping. */
export type Translate = (key: string, values?: Readonly<Record<string, unknown>>) => string;

export interface I18n {
  /** @returns a translator for one locale, without shared state, so concurrent jobs do not affect each other. */
  in(locale: string): Translate;
  /** @returns true when the key has a text in that locale or in one that it falls back to. */
  has(key: string, locale: string): boolean;
  readonly locales: readonly string[];
}

/** The texts of files. */
export interface LoadedI18n extends I18n {
  /** @returns true when the key has a text, or one for counts, in that locale itself or in one it is a variety of. */
  hasOwn(key: string, locale: string): boolean;
  /** @returns the texts in the files of the locale, by their keys in levels: `{ "cart": { "title": "Your cart" } }`. */
  texts(locale: string): unknown;
}

interface I18nOptions {
  /** true: a text without one of its values throws a MissingValueError. Default: `{{name}}` is shown. */
  readonly strict?: boolean;
  /** Called once for each text that is missing in a locale with files, or in the default locale. */
  readonly onMissing?: (missing: MissingText) => void;
}

/** The locale of texts that neither the requested locale nor the default one has. */
const LAST = 'en';

/**
 * Reads `<folder>/<locale>.json` of each folder once. Later folders win, and missing ones count as empty. A key that a locale
 * lacks falls back to what the locale is a variety of (`pt` for `pt-BR`), then to the default locale in the same way, then to
 * English, then to the key itself.
 * @throws UserError that names a file that is no JSON object.
 */
export async function loadI18n(
  folders: readonly string[],
  defaultLocale: string,
  { strict = false, onMissing = () => undefined }: I18nOptions = {},
): Promise<LoadedI18n> {
  const instance = i18next.createInstance();
  await instance.init({
    fallbackLng: false,
    interpolation: { escapeValue: false },
    ...(strict && { missingInterpolationHandler: refuse }),
  });
  for (const [locale, files] of folders.flatMap((folder) => [...textFiles(folder)])) {
    if (locale === undefined) continue;
    for (const file of files) instance.addResourceBundle(locale, 'translation', read(file), true, true);
  }
  const locales = Object.keys(instance.store.data);
  /** The locales with texts, in the order of lookup; the first `own` of them are the locale's. */
  const lookUpIn = (locale: string) => {
    const parents = withParents(canonicalLocale(locale) ?? '');
    const isKnown = (each: string) => locales.includes(each);
    const chain = [...new Set([...parents, ...withParents(defaultLocale), LAST])].filter(isKnown);
    return { chain, own: parents.filter(isKnown).length };
  };
  const ownText = (key: string, locale: string) =>
    [key, `${key}_other`].some((each) => instance.getResource(locale, 'translation', each) !== undefined);
  const told = new Set<string>();
  // Texts without values are cached, since they never change. Missing keys are not, since there may be any number.
  const plain = new Map(locales.map((locale) => [locale, new Map<string, string>()]));

  /** A locale may lack the plural form of a count; its usual form is better than one of another language. */
  const find = (key: string, locale: string, values: Readonly<Record<string, unknown>>): string => {
    const { chain, own } = lookUpIn(locale);
    const forms = typeof values.count === 'number' ? [key, `${key}_other`] : [key];
    for (const [index, lng] of chain.entries()) {
      const options = Object.assign({}, values, { lng, lngs: chain.slice(index) });
      const at = Object.assign({}, options, { lngs: [lng] });
      const shown = forms.find((each) => instance.exists(each, at));
      if (shown === undefined) continue;
      if (index >= own && (own > 0 || locale === defaultLocale)) tell({ key, locale, shown: lng });
      return instance.t(shown, options);
    }
    return key;
  };
  const tell = (missing: MissingText): void => {
    const once = `${missing.locale} ${missing.key}`;
    if (told.has(once)) return;
    told.add(once);
    onMissing(missing);
  };
  return {
    in(locale) {
      const known = plain.get(locale);
      return (key, values) => {
        if (values) return find(key, locale, values);
        const text = known?.get(key) ?? find(key, locale, { replace: {} });
        if (text !== key) known?.set(key, text);
        return text;
      };
    },
    has: (key, locale) => lookUpIn(locale).chain.some((lng) => instance.exists(key, { lng, lngs: [lng] })),
    hasOwn: (key, locale) => withParents(locale).some((each) => ownText(key, each)),
    texts: (locale) => instance.getResourceBundle(locale, 'translation'),
    locales,
  };
}

function read(file: string): object {
  let texts: unknown;
  try {
    texts = JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (thrown) {
    throw new UserError(`${file}: it is not valid JSON, ${toError(thrown).message}: fix it`, EXIT.config);
  }
  if (typeof texts === 'object' && texts !== null && !Array.isArray(texts)) return texts;
  throw new UserError(`${file}: it should hold an object of texts: { "greeting": "Hello" }`, EXIT.config);
}

/** @param match placeholder and name. @param options those of i18next, with the values under `replace`. */
function refuse(text: string, match: readonly string[], options: object): string {
  const [placeholder = '', name = ''] = match;
  const values: unknown = 'replace' in options ? options.replace : undefined;
  // null is a value and shows nothing.
  if (typeof values === 'object' && values !== null && Reflect.get(values, name) === null) return '';
  throw new MissingValueError(`the text ${JSON.stringify(text)} is given no value for ${placeholder}`);
}
