import { readLocales } from '../../core/locales';
import type { PreviewedMail, PreviewName, PreviewResponse } from '../../mailer/preview/preview-registry';
import { snakeCase } from '../../support/snake-case';
import type { OpsContext, PageContext, PageModule } from '../ui/page-types';
import { linkWith, localizedProblem } from '../ui/shell';
import type { Inbox } from './inbox';
import { answerPiece, askedLanguage, showMail, toLanguages } from './mail-page';
import { openMail, type ParsedMail } from './parsed-mail';
import { PreviewSource } from './preview-process';

const INDEX = '/ops/mail';
const PREVIEWS = `${INDEX}/previews`;
const ONE = `${PREVIEWS}/:mailer/:action`;
const EVENTS = `${PREVIEWS}/events`;
const KEPT = ['lang', 'part', 'width', 'scheme'];
const MAX_LATEST = 4;

/** Pages of the previews of the app's mails. @param inbox for the list beside them. */
export function previewRoutes(inbox: Inbox): PageModule {
  return (site) => {
    const { router, config } = site;
    const changing = config.environment !== 'production';
    const source = new PreviewSource({ folders: site.previews.madeOf, changing });
    /** Must be read before the preview is rendered, so that any later change of a file reloads the page. */
    const live = async () => (changing ? { live: `${EVENTS}?seen=${await source.version()}` } : {});

    const listBeside = async (reply: PreviewResponse, ctx: OpsContext) => {
      const names = await inbox.names();
      const kept = config.mail.delivery === 'file';
      const latest = await inbox.entries(names.slice(0, MAX_LATEST));
      return { previews: linkNames(reply), inbox: latest, total: names.length, kept, keep: keptQuery(ctx) };
    };

    /** @param first true for the index page, which on a narrow screen begins with the list. */
    const show = async (ctx: OpsContext, name: PreviewName, lively: object, first: boolean): Promise<void> => {
      const reply = await source.mail(name, askedLanguage(ctx));
      const index = { ...(await listBeside(await source.names(), ctx)), after: !first };
      const shownIn = askedLanguage(ctx) ?? config.defaultLocale;
      const shared = {
        index,
        base: previewPath(name),
        locales: toLanguages(readLocales(site.previews.locales)),
        shownIn,
        ...lively,
      };
      const title = `${name.mailer}#${name.action}`;
      switch (reply.kind) {
        case 'mail':
          return showMail(site, ctx, { mail: await opened(reply), preview: title, ...shared, shownIn: reply.locale });
        case 'fault':
          return showFault(site, ctx, title, reply, shared);
        case 'none':
          return site.layout.show(ctx, 'mail/no-mail', { title, ...shared }, { mail: null });
        default:
          throw localizedProblem(404, 'missing');
      }
    };

    router.get(INDEX, async (ctx) => {
      const lively = await live();
      const reply = await source.names();
      const [first] = linkNames(reply);
      if (first && !ctx.state.json) return show(ctx, first, lively, true);
      const title = ctx.state.t('mail.previews.title');
      const index = await listBeside(reply, ctx);
      if (reply.kind === 'fault') return showFault(site, ctx, title, reply, { index, base: INDEX, ...lively });
      const page = { title, index, base: INDEX, folder: site.previews.folder, ...lively };
      await site.layout.show(ctx, 'mail/no-previews', page, { previews: linkNames(reply) });
    });

    router.get(PREVIEWS, (ctx) => ctx.redirect(INDEX));

    router.get(EVENTS, (ctx) => {
      const stream = site.streams.begin(ctx);
      const seen = String(ctx.query.seen ?? '');
      stream.every(400, async () => {
        if ((await source.version()) !== seen) stream.sendWhenNew('reload', {});
      });
      stream.every(1000, () => stream.send('tick'));
    });

    router.get(ONE, async (ctx) => {
      await show(ctx, readName(ctx), await live(), false);
    });

    router.get(`${ONE}/*piece`, async (ctx) => {
      const reply = await source.mail(readName(ctx), askedLanguage(ctx));
      if (reply.kind !== 'mail') throw localizedProblem(404, 'missing');
      answerPiece(ctx, await opened(reply), ctx.params.piece ?? '');
    });
  };
}

/** Parses a previewed mail and adds its BCC and locale, which the message does not contain. */
async function opened({ eml, bcc, locale }: PreviewedMail): Promise<ParsedMail> {
  return { ...(await openMail(Buffer.from(eml, 'base64'))), bcc, locale };
}

async function showFault(
  site: PageContext,
  ctx: OpsContext,
  title: string,
  fault: Extract<PreviewResponse, { readonly kind: 'fault' }>,
  shared: Readonly<Record<string, unknown>>,
): Promise<void> {
  ctx.status = 500;
  await site.layout.show(ctx, 'mail/fault', { title, fault, locales: false, ...shared }, { error: snakeCase(fault) });
}

function linkNames(reply: PreviewResponse): (PreviewName & { readonly href: string })[] {
  return reply.kind === 'names' ? reply.names.map((name) => ({ ...name, href: previewPath(name) })) : [];
}

function previewPath({ mailer, action }: PreviewName): string {
  return `${PREVIEWS}/${encodeURIComponent(mailer)}/${encodeURIComponent(action)}`;
}

function readName(ctx: OpsContext): PreviewName {
  const { mailer = '', action = '' } = ctx.params;
  return { mailer, action };
}

/** The query of links to other previews, which keeps the view's settings. */
function keptQuery(ctx: OpsContext): string {
  return linkWith('', '', Object.fromEntries(KEPT.map((name) => [name, String(ctx.query[name] ?? '')])));
}
