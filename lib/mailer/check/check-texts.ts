import path from 'node:path';
import type { LoadedI18n } from '../../core/i18n';
import { textFiles, withParents } from '../../core/locales';

interface TextCheck {
  readonly localesDir: string;
  readonly i18n: LoadedI18n;
  readonly defaultLocale: string;
  readonly onFinding: (message: string, fatal: boolean) => void;
}

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
 * @param known texts that have already been reported.
 */
export function checkTexts(
  { localesDir, i18n, defaultLocale, onFinding }: TextCheck,
  known: { has(locale: string, key: string): boolean },
): void {
  for (const file of textFiles(localesDir).get(undefined) ?? []) {
    const name = path.basename(file, '.json');
    onFinding(`${file}: ${name} is not a language tag (BCP 47): name it after a locale, such as pt-BR.json`, false);
  }
  const texts = new Map(i18n.locales.map((locale) => [locale, new LocaleTexts(locale, i18n)]));
  if (texts.size > 0 && !withParents(defaultLocale).some((each) => texts.has(each))) {
    const file = path.join(localesDir, `${defaultLocale}.json`);
    const others = [...texts.keys()].join(' or ');
    onFinding(
      `${file}: it is missing, but DEFAULT_LOCALE is ${defaultLocale}: write it, or set DEFAULT_LOCALE to ${others}`,
      false,
    );
  }
  const first = [...texts.values()].sort((one, other) => rank(one.locale) - rank(other.locale));
  function rank(locale: string): number {
    return locale === defaultLocale ? 0 : 1;
  }
  for (const [locale, own] of texts) {
    const lacking = new Map<string, string>();
    for (const { locale: other, stems } of first) {
      for (const stem of stems) {
        if (other === locale || own.has(stem) || lacking.has(stem) || known.has(locale, stem)) continue;
        lacking.set(stem, other);
      }
    }
    const file = path.join(localesDir, `${locale}.json`);
    for (const other of new Set(lacking.values())) {
      const names = [...lacking].filter(([, where]) => where === other).map(([stem]) => stem);
      onFinding(`${file}: lacks ${listed('text', names)}, which ${other}.json has: add ${them(names)}`, false);
    }
    const forms = own.missingForms();
    if (forms.length > 0) onFinding(`${file}: lacks ${listed('form', forms)}, for counts: add ${them(forms)}`, false);
  }
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
    this.stems = new Set([...this.keys].map((key) => this.stemOf(key)));
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

  private stemOf(key: string): string {
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
