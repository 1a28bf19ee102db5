import type { I18n, Translate } from '../core/i18n';
import { isLocale } from '../core/locale';
import { MissingTextError } from './errors';
import { humanise, underscore } from './naming';

/** The first candidate that ships, region left aside (`ko-KR` is `ko`), else the fallback. */
export function chooseLocale(candidates: readonly (string | undefined)[], fallback: string): string {
  const asked = candidates.find((candidate) => candidate !== undefined && candidate !== '');
  const language = asked?.toLowerCase().split(/[-_]/)[0];
  return isLocale(language) ? language : fallback;
}

/** The texts of one action in one locale. Bound to both, so that mails rendered at once cannot disturb each other. */
export class MailTexts {
  private readonly lookUp: Translate;
  private readonly prefix: string;

  constructor(
    private readonly i18n: I18n,
    readonly locale: string,
    scope: string,
    private readonly action: string,
  ) {
    this.lookUp = i18n.in(locale);
    this.prefix = `${scope}.${underscore(action)}`;
  }

  /**
   * `.title` is short for `<scope>.<action>.title`.
   * @throws MissingTextError rather than put a key before a reader's eyes.
   */
  readonly t: Translate = (key, values) => {
    const full = key.startsWith('.') ? this.prefix + key : key;
    const text = this.lookUp(full, values && asOptions(values));
    if (text === full) throw new MissingTextError(`no locale file has the text ${full} (locale ${this.locale})`);
    return text;
  };

  /** The text `<scope>.<action>.subject`, else the action's name in words. */
  subject(values: Readonly<Record<string, unknown>>): string {
    return this.i18n.has(`${this.prefix}.subject`, this.locale) ? this.t('.subject', values) : humanise(this.action);
  }
}

/** Under `replace`, a value named like an option of i18next (`lng`, `context`) stays a value. */
function asOptions(values: Readonly<Record<string, unknown>>) {
  const { count } = values;
  return { replace: values, ...(typeof count === 'number' ? { count } : {}) };
}
