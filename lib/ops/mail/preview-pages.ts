import { readLocales } from '../../core/locales';
import type { PreviewedMail, PreviewName, PreviewResponse } from '../../mailer/preview/preview-registry';
import { isAddress } from '../../support/email-address';
import { snakeCase } from '../../support/snake-case';
import { assertOperator } from '../auth/access';
import type { OpsContext, PageContext, PageModule } from '../ui/context';
import { reportFailedAction } from '../ui/error-pages';
import { FlashStore } from '../ui/flash';
import { linkWith, localizedProblem } from '../ui/shell';
import { DELIVERIES } from './deliveries-page';
import type { Inbox } from './inbox';
import { answerPiece, askedLanguage, langQuery, showMail, toLanguages } from './mail-page';
import { openMail, type ParsedMail } from './parsed-mail';
import { PreviewSource } from './preview-process';

const INDEX = '/ops/mail';
const PREVIEWS = `${INDEX}/previews`;
const ONE = `${PREVIEWS}/:mailer/:action`;
const EVENTS = `${PREVIEWS}/events`;
const KEPT = ['lang', 'part', 'width', 'scheme'];
/** Number of inbox mails in the list beside a preview. */
const MAX_LATEST = 4;

/** Pages of the previews of the app's mails. @param inbox for the list beside them. */
export function previewRoutes(inbox: Inbox): PageModule {
  return (site) => {
    const { router, config } = site;
    const changing = config.environment !== 'production';
    const source = new PreviewSource({ folders: site.previews.madeOf, changing });
    /** Must be read before the preview is rendered, so that any later change of a file reloads the page. */
    const live = async () => (changing ? { live: `${EVENTS}?seen=${await source.version()}` } : {});

    /** Values for the list beside a preview. */
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
      if (ctx.state.visitor.role === 'viewer') return ctx.redirect(DELIVERIES);
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
      await show(ctx, readName(ctx), await live(), false);
    });

    testRoutes(source)(site);

    router.get(`${ONE}/*piece`, async (ctx) => {
      assertOperator(ctx);
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

const SEND = '/ops/mail/previews/:mailer/:action/send';

/** The outcome of a test mail. */
interface Sent {
  readonly to: string;
  /** The answer of the server, or the path of the mail's file; null when it was not sent because of `error`. */
  readonly answer: string | null;
  readonly error: string | null;
}

/** Routes to send a preview to one address as a test. */
function testRoutes(source: PreviewSource): PageModule {
  return (site) => {
    const flashes = new FlashStore<Sent>(site);

    const form = (ctx: OpsContext, more: Readonly<Record<string, unknown>>) => {
      const { mailer, action } = ctx.params;
      const query = langQuery(ctx);
      const page = { name: `${mailer}#${action}`, action: `${ctx.path}${query}`, back: `${withoutSend(ctx)}${query}` };
      return site.layout.show(ctx, 'mail/test', { title: ctx.state.t('mail.test.title'), to: '', ...page, ...more });
    };

    site.router.get(SEND, async (ctx) => {
      assertOperator(ctx);
      const sent = await flashes.flash(ctx);
      await form(ctx, { sent, wrong: false, to: sent?.to ?? '' });
    });

    const reportsFailure = reportFailedAction(site, ({ params }) => ({
      command: 'send a test of',
      of: `${params.mailer}#${params.action}`,
    }));
    site.router.post(SEND, reportsFailure, async (ctx) => {
      const to = (ctx.state.form.get('to') ?? '').trim();
      if (!isAddress(to)) {
        ctx.status = 422;
        return form(ctx, { sent: undefined, wrong: true, to });
      }
      const id = await flashes.once(ctx, () => send(ctx, to));
      ctx.status = 303;
      ctx.redirect(linkWith(ctx.path, '', { lang: askedLanguage(ctx), flash: id ?? null }));
    });

    async function send(ctx: OpsContext, to: string): Promise<Sent> {
      const { mailer = '', action = '' } = ctx.params;
      const reply = await source.send({ mailer, action }, askedLanguage(ctx), to, ctx.state.t('mail.test.prefix'));
      site.events.emit('operator.mails', { action: 'test', count: 1, via: `pages:${ctx.ip}` });
      switch (reply.kind) {
        case 'sent':
          return { to, answer: reply.response, error: null };
        case 'fault':
          return { to, answer: null, error: reply.message };
        case 'none':
          return { to, answer: null, error: ctx.state.t('mail.none.what') };
        default:
          throw localizedProblem(404, 'missing');
      }
    }
  };
}

function withoutSend(ctx: OpsContext): string {
  return ctx.path.replace(/\/send$/, '');
}
