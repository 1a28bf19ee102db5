import path from 'node:path';
import { doubt, type Finding } from '../../core/finding';
import type { LoadedI18n } from '../../core/i18n';
import { textFiles, withParents } from '../../core/locales';

/** Catamount's own texts, which need no file: English is the fallback. */
const OURS = /^catamount\./;
/** Maximum number of texts that one finding names. */
const MAX_NAMED = 20;
const FORMS = ['zero', 'one', 'two', 'few', 'many', 'other'] as const;
/** Counts that people meet: the forms of these are the ones that a language needs. */
const COUNTS = Array.from({ length: 200 }, (_, count) => count);

/**
 * Finds texts and plural forms that one locale lacks and another has, files that are not named after a locale, and a
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
  const texts = i18n.locales.map((locale) => new LocaleTexts(locale, i18n));
  if (texts.length > 0 && !withParents(defaultLocale).some((each) => i18n.locales.includes(each))) {
    const remedy = `write it, or set DEFAULT_LOCALE to ${i18n.locales.join(' or ')}`;
    found.push(`${localeFile(defaultLocale)}: it is missing, but DEFAULT_LOCALE is ${defaultLocale}: ${remedy}`);
  }
  // The default locale is named before any other that has the text.
  const others = texts.toSorted(
    (one, other) => Number(other.locale === defaultLocale) - Number(one.locale === defaultLocale),
  );
  for (const own of texts) {
    const lacking = new Map<string, string>();
    for (const { locale, stems } of others) {
      for (const stem of stems) {
        if (locale === own.locale || own.has(stem) || lacking.has(stem) || known.has(`${own.locale} ${stem}`)) continue;
        lacking.set(stem, locale);
      }
    }
    const file = localeFile(own.locale);
    for (const other of new Set(lacking.values())) {
      const names = [...lacking].filter(([, where]) => where === other).map(([stem]) => stem);
      found.push(`${file}: lacks ${listed('text', names)}, which ${other}.json has: add ${them(names)}`);
    }
    const forms = own.missingForms();
    if (forms.length > 0) found.push(`${file}: lacks ${listed('form', forms)}, for counts: add ${them(forms)}`);
  }
  return found.map((text) => doubt(text));
}

/** The texts of the files of one locale. */
class LocaleTexts {
  private readonly keys: ReadonlySet<string>;
  /** The keys. Those of one counted text (`cat_one`, `cat_other`) are one: `cat`. */
  readonly stems: ReadonlySet<string>;

  constructor(
    readonly locale: string,
    private readonly i18n: LoadedI18n,
  ) {
    this.keys = new Set(flattenKeys(i18n.texts(locale)).filter((key) => !OURS.test(key)));
    this.stems = new Set([...this.keys].map((key) => this.stripForm(key)));
  }

  has(stem: string): boolean {
    return this.i18n.hasOwn(stem, this.locale);
  }

  /** The forms that this language needs and its counted texts lack. */
  missingForms(): string[] {
    const rules = new Intl.PluralRules(this.locale);
    const used = new Set(COUNTS.map((count) => rules.select(count)));
    const needed = FORMS.filter((form) => used.has(form));
    const counted = [...this.stems].filter((stem) => this.keys.has(`${stem}_other`));
    const forms = counted.flatMap((stem) => needed.map((form) => `${stem}_${form}`));
    return forms.filter(
      (key) => !withParents(this.locale).some((each) => flattenKeys(this.i18n.texts(each)).includes(key)),
    );
  }

  private stripForm(key: string): string {
    const [, stem = key] = /^(.+)_(?:zero|one|two|few|many|other)$/.exec(key) ?? [];
    return this.keys.has(`${stem}_other`) ? stem : key;
  }
}

/** The keys of nested texts, such as `a.b.cat_one`. */
function flattenKeys(texts: unknown, prefix = ''): string[] {
  if (typeof texts !== 'object' || texts === null) return [];
  return Object.entries(texts).flatMap(([name, value]) =>
    typeof value === 'string' ? [prefix + name] : flattenKeys(value, `${prefix}${name}.`),
  );
}

function listed(noun: string, names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  const shown = names.slice(0, MAX_NAMED).join(', ');
  return `the ${noun}${names.length === 1 ? '' : 's'} ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}

function them(names: readonly unknown[]): string {
  return names.length === 1 ? 'it' : 'them';
}
