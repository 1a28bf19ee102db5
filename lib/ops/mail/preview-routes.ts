import type { PreviewName } from '../../mailer/preview/preview-folder';
import type { PreviewedMail, PreviewReply } from '../../mailer/preview/preview-order';
import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { refusal } from '../page/refusal';
import type { PageGroup, Site } from '../site';
import { DELIVERIES } from './delivery-routes';
import type { Inbox } from './inbox';
import { answerPiece, askedLanguage, showMail } from './mail-page';
import { type OpenedMail, openMail } from './opened-mail';
import { PreviewSource } from './preview-source';

const INDEX = '/ops/mail';
const PREVIEWS = `${INDEX}/previews`;
const ONE = `${PREVIEWS}/:mailer/:action`;
const EVENTS = `${PREVIEWS}/events`;
const KEPT = new Set(['lang', 'part', 'width', 'scheme']);
/** Shown at the side of a preview. */
const LATEST = 4;

/** The previews of the app's mails. @param inbox for the list at their side. */
export function previewRoutes(inbox: Inbox): PageGroup {
  return (site) => {
    const { router, config } = site;
    const changing = config.environment !== 'production';
    const source = new PreviewSource({ folders: site.previews.madeOf, changing });
    /** Before anything is read: what changes from then on shows the page anew. */
    const live = async () => (changing ? { live: `${EVENTS}?seen=${await source.version()}` } : {});

    /** What a page of a preview has at its side. */
    const indexOf = async (reply: PreviewReply, ctx: OpsContext) => {
      const names = await inbox.names();
      const kept = config.mail.delivery === 'file';
      const latest = await inbox.entries(names.slice(0, LATEST));
      return { previews: linksOf(reply), inbox: latest, total: names.length, kept, keep: keptQuery(ctx) };
    };

    router.get(INDEX, async (ctx) => {
      if (ctx.state.visitor.role === 'viewer') return ctx.redirect(DELIVERIES);
      const lively = await live();
      const reply = await source.names();
      const [first] = linksOf(reply);
      if (first && !ctx.state.json) return ctx.redirect(first.href);
      const index = await indexOf(reply, ctx);
      if (reply.kind === 'fault') return showFault(site, ctx, reply, { index, ...lively });
      const page = { title: ctx.state.t('mail.previews.title'), index, folder: site.previews.folder, ...lively };
      await site.pages.show(ctx, 'mail/no-previews', page, { previews: linksOf(reply) });
    });

    router.get(EVENTS, (ctx) => {
      assertOperator(ctx);
      const stream = site.streams.begin(ctx);
      const seen = String(ctx.query.seen ?? '');
      stream.every(400, async () => {
        if ((await source.version()) !== seen) stream.sendWhenNew('reload', {});
      });
      stream.every(1000, () => stream.send('tick'));
    });

    router.get(ONE, async (ctx) => {
      assertOperator(ctx);
      const lively = await live();
      const reply = await source.mail(nameOf(ctx), askedLanguage(ctx));
      const shownIn = askedLanguage(ctx) ?? config.defaultLocale;
      const index = await indexOf(await source.names(), ctx);
      const shared = { index, base: ctx.path, locales: true, shownIn, ...lively };
      const title = `${ctx.params.mailer}#${ctx.params.action}`;
      switch (reply.kind) {
        case 'mail':
          return showMail(site, ctx, { mail: await opened(reply), preview: title, ...shared, shownIn: reply.locale });
        case 'fault':
          return showFault(site, ctx, reply, shared);
        case 'none':
          return site.pages.show(ctx, 'mail/no-mail', { title, ...shared }, { mail: null });
        default:
          throw refusal(404, 'missing');
      }
    });

    router.get(`${ONE}/*piece`, async (ctx) => {
      assertOperator(ctx);
      const reply = await source.mail(nameOf(ctx), askedLanguage(ctx));
      if (reply.kind !== 'mail') throw refusal(404, 'missing');
      answerPiece(ctx, await opened(reply), ctx.params.piece ?? '');
    });
  };
}

/** What the message does not say of itself. */
async function opened({ eml, bcc, locale }: PreviewedMail): Promise<OpenedMail> {
  return { ...(await openMail(Buffer.from(eml, 'base64'))), bcc, locale };
}

async function showFault(
  site: Site,
  ctx: OpsContext,
  fault: Extract<PreviewReply, { readonly kind: 'fault' }>,
  more: Readonly<Record<string, unknown>>,
): Promise<void> {
  const { mailer, action } = ctx.params;
  ctx.status = 500;
  const title = action ? `${mailer}#${action}` : ctx.state.t('mail.previews.title');
  await site.pages.show(ctx, 'mail/fault', { title, fault, base: ctx.path, locales: false, ...more }, { error: fault });
}

function linksOf(reply: PreviewReply): (PreviewName & { readonly href: string })[] {
  const names = reply.kind === 'names' ? reply.names : [];
  return names.map((name) => ({ ...name, href: `${PREVIEWS}/${name.mailer}/${encodeURIComponent(name.action)}` }));
}

function nameOf(ctx: OpsContext): PreviewName {
  const { mailer = '', action = '' } = ctx.params;
  return { mailer, action };
}

/** The next preview is looked at in the same way. */
function keptQuery(ctx: OpsContext): string {
  const query = new URLSearchParams(ctx.querystring);
  for (const name of [...query.keys()]) if (!KEPT.has(name)) query.delete(name);
  return query.size === 0 ? '' : `?${query}`;
}
