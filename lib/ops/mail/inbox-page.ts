import path from 'node:path';
import { livePage } from '../ui/live-page';
import { callerOf, type OpsContext, type PageModule } from '../ui/page-types';
import { Paging } from '../ui/paging';
import { localizedProblem } from '../ui/shell';
import type { Inbox } from './inbox';
import { answerPiece, showMail } from './mail-page';
import { openMail } from './parsed-mail';

export const INBOX = '/ops/mail/inbox';
const MAX_LATEST = 8;

export function inboxRoutes(inbox: Inbox): PageModule {
  return (site) => {
    const { router } = site;
    const { delivery, dir } = site.config.mail;
    const below = path.relative(process.cwd(), dir);
    const shown = below.startsWith('..') ? dir : below;

    livePage(site, INBOX, 'mail/inbox', async (ctx) => {
      const names = await inbox.names();
      const paging = Paging.of(ctx, names.length);
      const entries = await inbox.entries(names.slice(paging.from, paging.to));
      const title = ctx.state.t('mail.inbox.title');
      const locals = { title, entries, paging, total: names.length, delivery, dir: shown };
      const mails = entries.map((entry) => ({ ...entry, href: `${INBOX}/${entry.name}` }));
      return { locals, json: { mails, total: names.length } };
    });

    router.get(`${INBOX}/clear`, async (ctx) => {
      const names = await inbox.names();
      const title = ctx.state.t('mail.clear.question', { count: names.length });
      const page = { title, count: names.length, until: names[0] ?? '', back: INBOX };
      await site.layout.show(ctx, 'mail/clear', page);
    });

    router.post(`${INBOX}/clear`, async (ctx) => {
      // Mails that arrived after the question was shown stay.
      const until = ctx.state.form.get('until') ?? '';
      const names = await inbox.names();
      await remove(
        ctx,
        names.filter((name) => name <= until),
      );
    });

    router.post(`${INBOX}/:name/delete`, async (ctx) => {
      const { name = '' } = ctx.params;
      if (!(await inbox.names()).includes(name)) throw localizedProblem(404, 'mailGone');
      await remove(ctx, [name]);
    });

    router.get(`${INBOX}/:name`, async (ctx) => {
      const mail = await opened(inbox, ctx);
      const names = await inbox.names();
      const latest = await inbox.entries(names.slice(0, MAX_LATEST));
      const index = { previews: [], inbox: latest, total: names.length, kept: true, after: true, keep: '' };
      await showMail(site, ctx, { mail, base: ctx.path, locales: false, index });
    });

    router.get(`${INBOX}/:name/*piece`, async (ctx) => {
      answerPiece(ctx, await opened(inbox, ctx), ctx.params.piece ?? '');
    });

    async function remove(ctx: OpsContext, names: readonly string[]): Promise<void> {
      const count = await inbox.remove(names);
      site.events.emit('operator.mails', { action: 'delete', count, via: callerOf(ctx) });
      ctx.status = 303;
      ctx.redirect(INBOX);
    }
  };
}

async function opened(inbox: Inbox, ctx: OpsContext) {
  const source = await inbox.read(ctx.params.name ?? '');
  if (!source) throw localizedProblem(404, 'mailGone');
  return openMail(source);
}
