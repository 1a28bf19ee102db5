import path from 'node:path';
import type { LoadedI18n } from '../../core/i18n';
import { textFiles, withParents } from '../../core/locales';

interface TextCheck {
  readonly localesDir: string;
  readonly i18n: LoadedI18n;
  readonly defaultLocale: string;
  readonly onFinding: (message: string, fatal: boolean) => void;
}

/** Texts of Catamount's own, which has them in English where a file has none. */
const OURS = /^catamount\./;
/** The most texts that one finding names. */
const MOST_NAMED = 20;
const FORMS = ['zero', 'one', 'two', 'few', 'many', 'other'] as const;
/** Counts that tell the forms which a language has for those that people meet. */
const COUNTS = Array.from({ length: 200 }, (_, count) => count);

/**
 * Finds the texts and the forms for counts that the files of one locale lack, and those of another have; files that are
 * named after no locale; and a default locale without a file.
 * @param known those that were found already.
 */
export function checkTexts(
  { localesDir, i18n, defaultLocale, onFinding }: TextCheck,
  known: { has(locale: string, key: string): boolean },
): void {
  for (const file of textFiles(localesDir).get(undefined) ?? []) {
    const name = path.basename(file, '.json');
    onFinding(`${file}: ${name} is no language tag (BCP 47): name it after a locale, such as pt-BR.json`, false);
  }
  const texts = new Map(i18n.locales.map((locale) => [locale, new LocaleTexts(locale, i18n)]));
  if (texts.size > 0 && !withParents(defaultLocale).some((each) => texts.has(each))) {
    const file = path.join(localesDir, `${defaultLocale}.json`);
    const others = [...texts.keys()].join(' or ');
    onFinding(
      `${file}: it is missing, and DEFAULT_LOCALE is ${defaultLocale}: write it, or set it to ${others}`,
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
  /** The keys, those of counts (`cat_one`, `cat_other`) as one: `cat`. */
  readonly stems: ReadonlySet<string>;

  constructor(
    readonly locale: string,
    private readonly i18n: LoadedI18n,
  ) {
    this.keys = new Set(keysOf(i18n.texts(locale)).filter((key) => !OURS.test(key)));
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
    return forms.filter((key) => !withParents(this.locale).some((each) => keysOf(this.i18n.texts(each)).includes(key)));
  }

  private stemOf(key: string): string {
    const [, stem = key] = /^(.+)_(?:zero|one|two|few|many|other)$/.exec(key) ?? [];
    return this.keys.has(`${stem}_other`) ? stem : key;
  }
}

/** The keys of texts in levels, such as `a.b.cat_one`. */
function keysOf(texts: unknown, prefix = ''): string[] {
  if (typeof texts !== 'object' || texts === null) return [];
  return Object.entries(texts).flatMap(([name, value]) =>
    typeof value === 'string' ? [prefix + name] : keysOf(value, `${prefix}${name}.`),
  );
}

function listed(noun: string, names: readonly string[]): string {
  const more = names.length - MOST_NAMED;
  const shown = names.slice(0, MOST_NAMED).join(', ');
  return `the ${noun}${names.length === 1 ? '' : 's'} ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}

function them(names: readonly unknown[]): string {
  return names.length === 1 ? 'it' : 'them';
}
