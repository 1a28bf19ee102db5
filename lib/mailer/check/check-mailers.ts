import path from 'node:path';
import { errorFinding, type Finding, warningFinding } from '../../core/finding';
import type { LoadedI18n } from '../../core/i18n';
import type { JobClass } from '../../job/definition/job-class';
import { toError } from '../../support/to-error';
import { findOwner, underscore } from '../compose/draft';
import type { MailerClass } from '../definition/mailer-class';
import { wrongDeliveryJob } from '../deliver-mail-job';
import { collectActions } from '../mailer';
import type { MailerRegistry } from '../mailer-registry';
import type { Previews } from '../preview/preview-registry';
import { Views } from '../render/views';
import { checkTexts } from './check-texts';
import { mailCalls } from './mail-calls';

export interface MailCheck {
  readonly mailers: MailerRegistry;
  readonly previews: Previews;
  readonly folders: Readonly<Record<'previewsDir' | 'localesDir', string>> & {
    readonly templatesDirs: readonly string[];
  };
  readonly i18n: LoadedI18n;
  readonly defaultLocale: string;
  readonly jobs: readonly JobClass[];
  /** false: the app renders its mails without templates. */
  readonly usesTemplates: boolean;
}

/**
 * Finds what is missing for the actions of an app's mailers, without running one: methods, templates, layouts, partials,
 * and, in every locale, the texts that the templates name. An error: such a mail could not be sent.
 */
export function checkMailers(options: MailCheck): Finding[] {
  const { mailers, previews, folders, i18n, defaultLocale, jobs } = options;
  const missing = new Set<string>();
  const shared = { options, views: new Views(folders.templatesDirs, { cache: true }), missing };
  const found = [...mailers].flatMap((mailer) =>
    [...collectActions(mailer)].flatMap((action) => checkAction(shared, mailer, action)),
  );
  const orphans = previews.names().filter(({ mailer }) => !mailers.get(mailer));
  return [
    ...found,
    ...[...mailers].flatMap((mailer) => checkDeliveryJob(mailer, jobs, mailers.place)),
    ...checkTexts(folders.localesDir, i18n, defaultLocale, missing),
    ...orphans.map(({ mailer }) => {
      const wrong = `${mailer}Preview previews ${mailer}, but no mailer has that name: name it after one`;
      return warningFinding(`${folders.previewsDir}: ${wrong}`);
    }),
  ];
}

function checkDeliveryJob(mailer: MailerClass, jobs: readonly JobClass[], place: string): Finding[] {
  const { name, deliveryJob } = mailer;
  const mistake = wrongDeliveryJob(mailer);
  if (mistake !== undefined) return [errorFinding(`${place}: ${mistake}`)];
  if (deliveryJob === undefined || jobs.includes(deliveryJob)) return [];
  const remedy = 'move it into a file of its own in the folder of jobs, or no processor sends its mails';
  return [errorFinding(`${place}: ${name}.deliveryJob is ${deliveryJob.name}, which is no job of the app: ${remedy}`)];
}

const TEXT = /\bt\(\s*(['"`])([^'"`$]+)\1/g;
/** Options of a mail with which the template of its action is not used. */
const OWN = ['html', 'text', 'template'];
const INCLUDE = /\binclude\(\s*(['"`])([^'"`$]+)\1/g;

/** @param name of the static property that declares the action. @param missing gets each text that is reported. */
function checkAction(
  { options, views, missing }: { options: MailCheck; views: Views; missing: Set<string> },
  mailer: MailerClass,
  [name, action]: readonly [string, string],
): Finding[] {
  const { i18n, defaultLocale, folders, mailers, usesTemplates } = options;
  const title = `${mailer.name}#${action}`;
  const method: unknown = Reflect.get(mailer.prototype as object, action);
  if (typeof method !== 'function') {
    const wrong = `${title} is declared by static ${name} = this.action('${action}'), but there is no such method`;
    return [errorFinding(`${mailers.place}: ${wrong}: write it, or name the one that is meant`)];
  }
  if (!usesTemplates) return [];
  // Where an action names its own template or bodies, or leaves the mail to other code, the template is known only at run time.
  const calls = mailCalls(method.toString()).filter((names) => !OWN.some((name) => names.has(name)));
  if (calls.length === 0) return [];
  const owner = underscore(findOwner(mailer, action).name);
  const folder = `${owner}/${underscore(action)}`;
  const parts = (['html', 'text'] as const).filter((part) => views.exists(`${folder}/${part}`));
  if (parts.length === 0) {
    const file = views.file(`${folder}/html`);
    return [errorFinding(`${file}: ${title} has no template: write this file, or text.ejs beside it`)];
  }
  const seen = new Set<string>();
  return parts.flatMap((part) => {
    const { layout } = mailer;
    const own = checkView(`${folder}/${part}`);
    if (layout === false || calls.every((names) => names.has('layout'))) return own;
    const view = `layouts/${layout}/${part}`;
    if (views.exists(view)) return [...own, ...checkView(view)];
    const remedy = `write it, or set static layout = false in ${mailer.name}`;
    return [...own, errorFinding(`${views.file(view)}: the layout of ${title} is missing: ${remedy}`)];
  });

  function checkView(view: string): Finding[] {
    if (seen.has(view)) return [];
    seen.add(view);
    let text: string;
    try {
      text = views.checked(view);
    } catch (thrown) {
      return [errorFinding(`${toError(thrown).message} (a template of ${title}: fix it)`)];
    }
    const texts = [...text.matchAll(TEXT)].flatMap(([, , key = '']) => checkText(key, view));
    const included = [...text.matchAll(INCLUDE)].flatMap(([, , other = '']) => {
      const from = other.startsWith('/') ? '.' : path.posix.dirname(view);
      const target = path.posix.join(from, other.replace(/\.ejs$/, ''));
      if (views.exists(target)) return checkView(target);
      const wrong = `includes ${other}, but there is no ${views.file(target)}: write it, or name another`;
      return errorFinding(`${views.file(view)}: ${title} ${wrong}`);
    });
    return [...texts, ...included];
  }

  function checkText(key: string, view: string): Finding[] {
    const full = key.startsWith('.') ? `${mailer.i18nScope ?? owner}.${underscore(action)}${key}` : key;
    const lacking = [...new Set([defaultLocale, ...i18n.locales])].filter((locale) => !i18n.hasOwn(full, locale));
    return lacking.map((locale) => {
      missing.add(`${locale} ${full}`);
      const file = path.join(folders.localesDir, `${locale}.json`);
      // Otherwise the text of another locale is shown.
      const isShown = locale !== defaultLocale || i18n.has(full, locale) || i18n.has(`${full}_other`, locale);
      const found = `${file}: lacks the text ${full} that ${view}.ejs of ${title} shows: add it`;
      return isShown ? warningFinding(found) : errorFinding(found);
    });
  }
}
