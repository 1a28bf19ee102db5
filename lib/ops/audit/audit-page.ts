import { snakeCase } from '../../support/snake-case';
import { eventLines } from '../overview/event-lines';
import { badQuery } from '../ui/bad-query';
import { Formatter } from '../ui/format';
import type { OpsContext, PageModule } from '../ui/page-types';
import { PER_PAGE } from '../ui/paging';

import { AuditLog } from './audit-log';

const PATH = '/ops/audit';

/** Who did what, the newest first. */
export const auditRoutes: PageModule = (site) => {
  const audit = new AuditLog(site.knex, site.events);
  site.router.get(PATH, async (ctx) => {
    const who = String(ctx.query.who ?? '')
      .trim()
      .slice(0, 200);
    const entries = await audit.list({ who, before: readBefore(ctx), limit: PER_PAGE + 1 });
    const shown = entries.slice(0, PER_PAGE);
    const { t } = ctx.state;
    const format = Formatter.of(ctx);
    const lines = eventLines(shown, format, PER_PAGE).map((line, index) => {
      const { name, who: caller } = shown[index] ?? { name: '', who: '' };
      if (name !== 'operator.sign-in') return line;
      return { ...line, text: t('audit.signedIn', { who: format.caller(caller) }) };
    });
    const older = entries.length > PER_PAGE ? (shown.at(-1)?.id ?? null) : null;
    const page = { title: t('audit.title'), lines, who, older, isFirst: ctx.query.before === undefined };
    await site.layout.show(ctx, 'audit/audit', page, { audit: snakeCase(shown), older });
  });
};

function readBefore({ query }: OpsContext): string | null {
  const { before } = query;
  if (before === undefined) return null;
  if (typeof before !== 'string' || !/^[1-9]\d{0,17}$/.test(before)) throw badQuery('page', String(before));
  return before;
}
