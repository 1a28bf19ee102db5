import path from 'node:path';
import type { LoadedI18n } from '../../core/i18n';
import { toError } from '../../support/async';
import { findOwner, underscore } from '../compose/draft';
import type { MailerClass } from '../definition/mailer-class';
import { collectActions } from '../mailer';
import type { MailerRegistry } from '../mailer-registry';
import type { Previews } from '../preview/preview-registry';
import { layoutFor } from '../render/renderer';
import { Views } from '../render/views';
import { checkTexts } from './check-texts';

export interface MailCheck {
  readonly mailers: MailerRegistry;
  readonly previews: Previews;
  readonly previewsDir: string;
  readonly templatesDir: string;
  readonly localesDir: string;
  readonly i18n: LoadedI18n;
  readonly defaultLocale: string;
  /** false: the app renders its mails without templates. */
  readonly usesTemplates: boolean;
  /** Receives each finding. `fatal`: such a mail could not be sent. */
  readonly onFinding: (message: string, fatal: boolean) => void;
}

/**
 * Finds what is missing for the actions of an app's mailers, without running one: methods, templates, layouts, partials,
 * and, in every locale, the texts that the templates name.
 */
export function checkMailers(options: MailCheck): void {
  const named = new NamedTexts();
  const views = new Views(options.templatesDir, { cache: true });
  for (const mailer of options.mailers) {
    for (const [name, action] of collectActions(mailer))
      new ActionCheck(options, views, named, mailer, name, action).run();
  }
  checkTexts(options, named);
  for (const { mailer } of options.previews.names()) {
    if (options.mailers.get(mailer)) continue;
    const place = `${options.previewsDir}: ${mailer}Preview`;
    options.onFinding(`${place} previews ${mailer}, but no mailer has that name: name it after one`, false);
  }
}

/** Texts that have already been reported as missing. */
export class NamedTexts {
  private readonly names = new Set<string>();

  add(locale: string, key: string): void {
    this.names.add(`${locale} ${key}`);
  }

  has(locale: string, key: string): boolean {
    return this.names.has(`${locale} ${key}`);
  }
}

const TEXT = /\bt\(\s*(['"`])([^'"`$]+)\1/g;
const INCLUDE = /\binclude\(\s*(['"`])([^'"`$]+)\1/g;

class ActionCheck {
  private readonly title: string;

  constructor(
    private readonly options: MailCheck,
    private readonly views: Views,
    private readonly named: NamedTexts,
    private readonly mailer: MailerClass,
    private readonly name: string,
    private readonly action: string,
  ) {
    this.title = `${mailer.name}#${action}`;
  }

  run(): void {
    const { mailer, action, title, options } = this;
    const method: unknown = Reflect.get(mailer.prototype as object, action);
    if (typeof method !== 'function') {
      const wrong = `${title} is declared by static ${this.name} = this.action('${action}'), but there is no such method`;
      options.onFinding(`${options.mailers.place}: ${wrong}: write it, or name the one that is meant`, true);
      return;
    }
    if (!options.usesTemplates) return;
    const source = method.toString();
    // Where an action names its own template or leaves the mail to other code, the template is known only at run time.
    if (!/\.mail\(\s*\{/.test(source) || /\btemplate\b/.test(source)) return;
    const folder = `${underscore(findOwner(mailer, action).name)}/${underscore(action)}`;
    const parts = (['html', 'text'] as const).filter((part) => this.views.exists(`${folder}/${part}`));
    if (parts.length === 0) {
      const file = this.views.file(`${folder}/html`);
      options.onFinding(`${file}: ${title} has no template: write this file, or text.ejs beside it`, true);
    }
    for (const part of parts) {
      this.checkView(`${folder}/${part}`);
      const layout = layoutFor(mailer.layout, part);
      if (layout === false || /\blayout\b/.test(source)) continue;
      const view = `layouts/${layout}/${part}`;
      if (this.views.exists(view)) this.checkView(view);
      else {
        const remedy = `write it, or set static layout = false in ${mailer.name}`;
        options.onFinding(`${this.views.file(view)}: the layout of ${title} is missing: ${remedy}`, true);
      }
    }
  }

  private checkView(view: string, seen: Set<string> = new Set()): void {
    if (seen.has(view)) return;
    seen.add(view);
    let source: string;
    try {
      source = this.views.checked(view);
    } catch (thrown) {
      this.options.onFinding(`${toError(thrown).message} (a template of ${this.title}: fix it)`, true);
      return;
    }
    for (const [, , key = ''] of source.matchAll(TEXT)) this.checkText(key, view);
    for (const [, , name = ''] of source.matchAll(INCLUDE)) {
      const target = path.posix.join(name.startsWith('/') ? '.' : path.posix.dirname(view), name.replace(/\.ejs$/, ''));
      if (this.views.exists(target)) this.checkView(target, seen);
      else {
        const wrong = `includes ${name}, but there is no ${this.views.file(target)}: write it, or name another`;
        this.options.onFinding(`${this.views.file(view)}: ${this.title} ${wrong}`, true);
      }
    }
  }

  private checkText(key: string, view: string): void {
    const { i18n, defaultLocale, localesDir, onFinding } = this.options;
    const scope = this.mailer.i18nScope ?? underscore(findOwner(this.mailer, this.action).name);
    const full = key.startsWith('.') ? `${scope}.${underscore(this.action)}${key}` : key;
    for (const locale of new Set([defaultLocale, ...i18n.locales])) {
      if (i18n.hasOwn(full, locale)) continue;
      this.named.add(locale, full);
      const file = path.join(localesDir, `${locale}.json`);
      const wrong = `lacks the text ${full} that ${view}.ejs of ${this.title} shows: add it`;
      // Otherwise the text of another locale is shown.
      onFinding(
        `${file}: ${wrong}`,
        locale === defaultLocale && !i18n.has(full, locale) && !i18n.has(`${full}_other`, locale),
      );
    }
  }
}
