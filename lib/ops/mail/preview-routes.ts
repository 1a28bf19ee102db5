import type { PreviewName } from '../../mailer/preview/preview-folder';
import type { PreviewReply } from '../../mailer/preview/preview-order';
import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { refusal } from '../page/refusal';
import type { PageGroup, Site } from '../site';
import { FileWatch } from './file-watch';
import type { Inbox } from './inbox';
import { answerPiece, askedLanguage, showMail } from './mail-page';
import { openMail } from './opened-mail';
import { PreviewChild } from './preview-child';

const AT = '/ops/mail/previews/:mailer/:action';
const EVENTS = '/ops/mail/previews/events';

/** The previews of the app's mails. @param inbox for the list at their side. */
export function previewRoutes(inbox: Inbox): PageGroup {
  return (site) => {
    const { router, config } = site;
    const child = new PreviewChild();
    const watch = new FileWatch(site.previewFolders);
    const live = config.environment === 'production' ? {} : { live: EVENTS };

    router.get('/ops/mail', async (ctx) => {
      assertOperator(ctx);
      const reply = await child.ask({ ask: 'names' });
      if (reply.kind === 'fault') return showFault(site, ctx, reply, { ...live });
      const previews = namesOf(reply);
      await site.pages.show(
        ctx,
        'mail/previews',
        { title: ctx.state.t('mail.title'), previews, ...live },
        { previews },
      );
    });

    router.get(EVENTS, (ctx) => {
      assertOperator(ctx);
      const stream = site.streams.begin(ctx);
      stream.every(400, async () => stream.sendWhenNew('version', await watch.version()));
    });

    router.get(AT, async (ctx) => {
      assertOperator(ctx);
      const reply = await child.ask(orderFor(ctx));
      const previews = namesOf(await child.ask({ ask: 'names' }));
      const base = ctx.path;
      const index = { previews, inbox: await inbox.latest(4), total: (await inbox.names()).length };
      switch (reply.kind) {
        case 'mail': {
          const mail = { ...(await openMail(Buffer.from(reply.eml, 'base64'))), bcc: reply.bcc, locale: reply.locale };
          return showMail(site, ctx, { mail, base, locales: true, index, ...live });
        }
        case 'fault':
          return showFault(site, ctx, reply, { index, base, ...live });
        case 'none':
          return site.pages.show(ctx, 'mail/none', { title: titleOf(ctx), base, index, ...live }, { mail: null });
        default:
          throw refusal(404, 'missing');
      }
    });

    router.get(`${AT}/*piece`, async (ctx) => {
      assertOperator(ctx);
      const reply = await child.ask(orderFor(ctx));
      if (reply.kind !== 'mail') throw refusal(404, 'missing');
      answerPiece(ctx, await openMail(Buffer.from(reply.eml, 'base64')), ctx.params.piece ?? '');
    });
  };
}

async function showFault(
  site: Site,
  ctx: OpsContext,
  fault: Extract<PreviewReply, { readonly kind: 'fault' }>,
  more: Readonly<Record<string, unknown>>,
): Promise<void> {
  ctx.status = 500;
  const title = ctx.state.t('mail.fault.title', { name: ctx.params.action ? titleOf(ctx) : ctx.state.t('mail.title') });
  await site.pages.show(ctx, 'mail/fault', { title, fault, index: null, base: '', ...more }, { error: fault });
}

function namesOf(reply: PreviewReply): readonly PreviewName[] {
  return reply.kind === 'names' ? reply.names : [];
}

function orderFor(ctx: OpsContext) {
  const { mailer = '', action = '' } = ctx.params;
  return { ask: 'mail', mailer, action, locale: askedLanguage(ctx) } as const;
}

function titleOf(ctx: OpsContext): string {
  return `${ctx.params.mailer}#${ctx.params.action}`;
}
