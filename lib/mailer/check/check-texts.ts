import path from 'node:path';
import { type Finding, warningFinding } from '../../core/finding';
import type { LoadedI18n } from '../../core/i18n';
import { textFiles, withParents } from '../../core/locales';

/** Catamount's own texts, which need no file: English is the fallback. */
const OURS = /^catamount\./;
const MAX_NAMED = 20;

/**
 * Finds texts that one locale lacks and another has, files that are not named after a locale, and a
 * default locale without a file.
 * @param known locale and key of each text that has already been reported.
 */
export function checkTexts(
  localesDir: string,
  i18n: LoadedI18n,
  defaultLocale: string,
  known: ReadonlySet<string>,
): Finding[] {
  const found = (textFiles(localesDir).get(undefined) ?? []).map((file) => {
    const name = path.basename(file, '.json');
    return `${file}: ${name} is not a language tag (BCP 47): name it after a locale, such as pt-BR.json`;
  });
  const localeFile = (locale: string) => path.join(localesDir, `${locale}.json`);
  const { locales } = i18n;
  if (locales.length > 0 && !withParents(defaultLocale).some((each) => locales.includes(each))) {
    const remedy = `write it, or set DEFAULT_LOCALE to ${locales.join(' or ')}`;
    found.push(`${localeFile(defaultLocale)}: it is missing, but DEFAULT_LOCALE is ${defaultLocale}: ${remedy}`);
  }
  // The default locale is named before any other that has the text.
  const others = locales
    .toSorted((one, other) => Number(other === defaultLocale) - Number(one === defaultLocale))
    .map((locale) => [locale, stemsOf(i18n.texts(locale))] as const);
  for (const own of locales) {
    const reported = new Set(known);
    for (const [other, stems] of others) {
      const names = [...stems].filter((stem) => !i18n.hasOwn(stem, own) && !reported.has(`${own} ${stem}`));
      if (other === own || names.length === 0) continue;
      for (const name of names) reported.add(`${own} ${name}`);
      found.push(`${localeFile(own)}: lacks ${listed(names)}, which ${other}.json has: add ${them(names)}`);
    }
  }
  return found.map((text) => warningFinding(text));
}

/** The keys of the texts of one locale. Those of one counted text (`cat_one`, `cat_other`) are one: `cat`. */
function stemsOf(texts: unknown): ReadonlySet<string> {
  const keys = new Set(flattenKeys(texts).filter((key) => !OURS.test(key)));
  const stem = (key: string) => {
    const [, counted = key] = /^(.+)_(?:zero|one|two|few|many|other)$/.exec(key) ?? [];
    return keys.has(`${counted}_other`) ? counted : key;
  };
  return new Set([...keys].map(stem));
}

/** The keys of nested texts, such as `a.b.cat_one`. */
function flattenKeys(texts: unknown, prefix = ''): string[] {
  if (typeof texts !== 'object' || texts === null) return [];
  return Object.entries(texts).flatMap(([name, value]) =>
    typeof value === 'string' ? [prefix + name] : flattenKeys(value, `${prefix}${name}.`),
  );
}

function listed(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  const shown = names.slice(0, MAX_NAMED).join(', ');
  return `the text${names.length === 1 ? '' : 's'} ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}

function them(names: readonly unknown[]): string {
  return names.length === 1 ? 'it' : 'them';
}
