import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { Paging } from '../page/paging';
import { refusal } from '../page/refusal';
import type { PageGroup, Site } from '../site';
import { type Inbox, SEARCHED } from './inbox';
import { answerPiece, showMail } from './mail-page';
import { openMail } from './opened-mail';

const LIST = '/ops/mail/inbox';
/** From so many mails on the number must be typed. */
const TYPED_ABOVE = 25;

export function inboxRoutes(inbox: Inbox): PageGroup {
  return (site) => {
    const { router, streams } = site;

    router.get(LIST, async (ctx) => {
      assertOperator(ctx);
      const { t } = ctx.state;
      const search = String(ctx.query.q ?? '').trim();
      const all = await inbox.names();
      const names = search === '' ? all : await inbox.search(search);
      const paging = Paging.of(ctx, names.length);
      const entries = await inbox.entries(names.slice(paging.from, paging.to));
      const live = search === '' && paging.page === 1 ? `${LIST}/events?newest=${names[0] ?? ''}` : undefined;
      const { delivery } = site.config.mail;
      await site.pages.show(
        ctx,
        'mail/inbox',
        {
          title: t('mail.inbox.title'),
          search,
          entries,
          paging,
          total: all.length,
          delivery,
          searched: SEARCHED,
          ...(live && { live }),
        },
        { mails: entries.map((entry) => ({ ...entry, href: `${LIST}/${entry.name}` })), total: names.length },
      );
    });

    router.get(`${LIST}/events`, (ctx) => {
      assertOperator(ctx);
      const { t } = ctx.state;
      const newest = String(ctx.query.newest ?? '');
      const stream = streams.begin(ctx);
      stream.every(500, async () => {
        const names = await inbox.names();
        const count = names.filter((name) => name > newest).length;
        const gone = newest !== '' && !names.includes(newest);
        if (count === 0 && !gone) return;
        const text = gone ? t('mail.inbox.changed') : t('mail.inbox.news', { count });
        stream.sendWhenNew('news', { count, text, newest: names[0] ?? '' });
      });
    });

    router.get(`${LIST}/clear`, async (ctx) => {
      assertOperator(ctx);
      await confirmClear(site, ctx, await inbox.names(), false);
    });

    router.post(`${LIST}/clear`, async (ctx) => {
      const names = await inbox.names();
      const until = ctx.state.form.get('until') ?? '';
      const meant = names.filter((name) => name <= until);
      if (meant.length > TYPED_ABOVE && Number(ctx.state.form.get('count')) !== meant.length) {
        ctx.status = 422;
        return confirmClear(site, ctx, names, true);
      }
      const count = await inbox.clear(until);
      site.events.emit('operator.mails', { action: 'delete', count, via: `the operator's pages, ${ctx.ip}` });
      ctx.status = 303;
      ctx.redirect(LIST);
    });

    router.get(`${LIST}/:name`, async (ctx) => {
      const mail = await opened(inbox, ctx);
      const index = { previews: null, inbox: await inbox.latest(8), total: (await inbox.names()).length };
      await showMail(site, ctx, { mail, base: ctx.path, locales: false, index });
    });

    router.get(`${LIST}/:name/*piece`, async (ctx) => {
      answerPiece(ctx, await opened(inbox, ctx), ctx.params.piece ?? '');
    });
  };
}

async function opened(inbox: Inbox, ctx: OpsContext) {
  assertOperator(ctx);
  const source = await inbox.read(ctx.params.name ?? '');
  if (!source) throw refusal(404, 'mailGone');
  return openMail(source);
}

function confirmClear(site: Site, ctx: OpsContext, names: readonly string[], wrong: boolean): Promise<void> {
  const { length: count } = names;
  const title = ctx.state.t('mail.clear.question', { count });
  const typed = count > TYPED_ABOVE;
  return site.pages.show(ctx, 'mail/clear', { title, count, typed, wrong, until: names[0] ?? '', back: LIST });
}
