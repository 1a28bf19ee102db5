import path from 'node:path';
import { doubt, type Finding, fault } from '../../core/finding';
import type { LoadedI18n } from '../../core/i18n';
import { toError } from '../../support/async';
import { ownerOf, underscore } from '../compose/draft';
import type { MailerClass } from '../definition/mailer-class';
import { actionsOf } from '../mailer';
import type { MailerRegistry } from '../mailer-registry';
import type { Previews } from '../preview/preview-registry';
import { layoutFor } from '../render/renderer';
import { Views } from '../render/views';
import { checkTexts } from './check-texts';

export interface MailCheck {
  readonly mailers: MailerRegistry;
  readonly previews: Previews;
  readonly folders: Readonly<Record<'previewsDir' | 'templatesDir' | 'localesDir', string>>;
  readonly i18n: LoadedI18n;
  readonly defaultLocale: string;
  /** false: the app renders its mails without templates. */
  readonly usesTemplates: boolean;
}

/**
 * Finds what is missing for the actions of an app's mailers, without running one: methods, templates, layouts, partials,
 * and, in every locale, the texts that the templates name. An error: such a mail could not be sent.
 */
export function checkMailers(options: MailCheck): Finding[] {
  const found: Finding[] = [];
  const missing = new Set<string>();
  const views = new Views(options.folders.templatesDir, { cache: true });
  for (const mailer of options.mailers) {
    for (const [name, action] of actionsOf(mailer)) {
      const check = new ActionCheck(options, views, missing, mailer, action);
      found.push(...check.run(name));
    }
  }
  const orphans = options.previews.names().filter(({ mailer }) => !options.mailers.get(mailer));
  return [
    ...found,
    ...checkTexts(options.folders.localesDir, options.i18n, options.defaultLocale, missing),
    ...orphans.map(({ mailer }) => {
      const wrong = `${mailer}Preview previews ${mailer}, but no mailer has that name: name it after one`;
      return doubt(`${options.folders.previewsDir}: ${wrong}`);
    }),
  ];
}

const TEXT = /\bt\(\s*(['"`])([^'"`$]+)\1/g;
const INCLUDE = /\binclude\(\s*(['"`])([^'"`$]+)\1/g;

class ActionCheck {
  private readonly title: string;
  private readonly seen = new Set<string>();

  constructor(
    private readonly options: MailCheck,
    private readonly views: Views,
    /** Locale and key of each text that has been reported. */
    private readonly missing: Set<string>,
    private readonly mailer: MailerClass,
    private readonly action: string,
  ) {
    this.title = `${mailer.name}#${action}`;
  }

  /** @param name of the static property that declares the action. */
  run(name: string): Finding[] {
    const { mailer, action, title, options } = this;
    const method: unknown = Reflect.get(mailer.prototype as object, action);
    if (typeof method !== 'function') {
      const wrong = `${title} is declared by static ${name} = this.action('${action}'), but there is no such method`;
      return [fault(`${options.mailers.place}: ${wrong}: write it, or name the one that is meant`)];
    }
    if (!options.usesTemplates) return [];
    const source = method.toString();
    // Where an action names its own template or leaves the mail to other code, the template is known only at run time.
    if (!/\.mail\(\s*\{/.test(source) || /\btemplate\b/.test(source)) return [];
    const folder = `${underscore(ownerOf(mailer, action).name)}/${underscore(action)}`;
    const parts = (['html', 'text'] as const).filter((part) => this.views.exists(`${folder}/${part}`));
    if (parts.length === 0) {
      const file = this.views.file(`${folder}/html`);
      return [fault(`${file}: ${title} has no template: write this file, or text.ejs beside it`)];
    }
    return parts.flatMap((part) => {
      const layout = layoutFor(mailer.layout, part);
      const own = this.view(`${folder}/${part}`);
      if (layout === false || /\blayout\b/.test(source)) return own;
      const view = `layouts/${layout}/${part}`;
      if (this.views.exists(view)) return [...own, ...this.view(view)];
      const remedy = `write it, or set static layout = false in ${mailer.name}`;
      return [...own, fault(`${this.views.file(view)}: the layout of ${title} is missing: ${remedy}`)];
    });
  }

  private view(view: string): Finding[] {
    if (this.seen.has(view)) return [];
    this.seen.add(view);
    let source: string;
    try {
      source = this.views.checked(view);
    } catch (thrown) {
      return [fault(`${toError(thrown).message} (a template of ${this.title}: fix it)`)];
    }
    const texts = [...source.matchAll(TEXT)].flatMap(([, , key = '']) => this.text(key, view));
    const included = [...source.matchAll(INCLUDE)].flatMap(([, , name = '']) => {
      const target = path.posix.join(name.startsWith('/') ? '.' : path.posix.dirname(view), name.replace(/\.ejs$/, ''));
      if (this.views.exists(target)) return this.view(target);
      const wrong = `includes ${name}, but there is no ${this.views.file(target)}: write it, or name another`;
      return fault(`${this.views.file(view)}: ${this.title} ${wrong}`);
    });
    return [...texts, ...included];
  }

  private text(key: string, view: string): Finding[] {
    const { i18n, defaultLocale, folders } = this.options;
    const scope = this.mailer.i18nScope ?? underscore(ownerOf(this.mailer, this.action).name);
    const full = key.startsWith('.') ? `${scope}.${underscore(this.action)}${key}` : key;
    const lacking = [...new Set([defaultLocale, ...i18n.locales])].filter((locale) => !i18n.hasOwn(full, locale));
    return lacking.map((locale) => {
      this.missing.add(`${locale} ${full}`);
      const file = path.join(folders.localesDir, `${locale}.json`);
      // Otherwise the text of another locale is shown.
      const isShown = locale !== defaultLocale || i18n.has(full, locale) || i18n.has(`${full}_other`, locale);
      const found = `${file}: lacks the text ${full} that ${view}.ejs of ${this.title} shows: add it`;
      return isShown ? doubt(found) : fault(found);
    });
  }
}
