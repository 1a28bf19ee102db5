import { isAddress } from '../../support/email-address';
import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { Deeds } from '../page/deeds';
import { refusal } from '../page/refusal';
import type { PageGroup } from '../site';
import { askedLanguage, langQuery } from './mail-page';
import type { PreviewSource } from './preview-source';

const SEND = '/ops/mail/previews/:mailer/:action/send';

/** What has become of a test. */
interface Sent {
  readonly to: string;
  /** What the server said, or where the mail lies; null: it was not sent, because of `error`. */
  readonly answer: string | null;
  readonly error: string | null;
}

/** Sends a preview to one address, as a test. */
export function testRoutes(source: PreviewSource): PageGroup {
  return (site) => {
    const deeds = new Deeds<Sent>(site.redis.client);

    const form = (ctx: OpsContext, more: Readonly<Record<string, unknown>>) => {
      const { mailer, action } = ctx.params;
      const query = langQuery(ctx);
      const page = { name: `${mailer}#${action}`, action: `${ctx.path}${query}`, back: `${backOf(ctx)}${query}` };
      return site.pages.show(ctx, 'mail/test', { title: ctx.state.t('mail.test.title'), to: '', ...page, ...more });
    };

    site.router.get(SEND, async (ctx) => {
      assertOperator(ctx);
      const sent = await deeds.told(ctx);
      await form(ctx, { sent, wrong: false, to: sent?.to ?? '' });
    });

    site.router.post(SEND, async (ctx) => {
      const to = (ctx.state.form.get('to') ?? '').trim();
      if (!isAddress(to)) {
        ctx.status = 422;
        return form(ctx, { sent: undefined, wrong: true, to });
      }
      const did = await deeds.once(ctx, () => send(ctx, to));
      ctx.status = 303;
      const query = langQuery(ctx);
      ctx.redirect(`${ctx.path}${query}${query === '' ? '?' : '&'}did=${did}`);
    });

    async function send(ctx: OpsContext, to: string): Promise<Sent> {
      const { mailer = '', action = '' } = ctx.params;
      const reply = await source.send({ mailer, action }, askedLanguage(ctx), to, ctx.state.t('mail.test.prefix'));
      site.events.emit('operator.mails', { action: 'test', count: 1, via: `the operator's pages, ${ctx.ip}` });
      switch (reply.kind) {
        case 'sent':
          return { to, answer: reply.response, error: null };
        case 'fault':
          return { to, answer: null, error: reply.message };
        case 'none':
          return { to, answer: null, error: ctx.state.t('mail.none.what') };
        default:
          throw refusal(404, 'missing');
      }
    }
  };
}

function backOf(ctx: OpsContext): string {
  return ctx.path.replace(/\/send$/, '');
}
