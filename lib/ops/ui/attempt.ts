import { recentEvent } from '../../cluster/primary/tree-monitor';
import type { EventMap } from '../../core/events';
import type { OpsContext, OpsMiddleware, PageContext } from './context';
import { whoIsAway } from './shell';

type Attempt = Pick<EventMap['operator.failed'], 'command' | 'of'> & { readonly count?: number };

/**
 * Stands before what a form asks for. When that fails because Redis or Postgres is away, the tree remembers who asked for
 * what: over IPC, since what operators have done is kept in Redis.
 * @param read what the form asks for; undefined when it only leads to a question.
 */
export function attempt(
  { events, tree }: Pick<PageContext, 'events' | 'tree'>,
  read: (ctx: OpsContext) => Attempt | undefined,
): OpsMiddleware {
  return async (ctx, next) => {
    try {
      await next();
    } catch (thrown) {
      const who = whoIsAway(thrown);
      const asked = who && read(ctx);
      if (who && asked) {
        const service = who === 'Redis' ? 'redis' : 'postgres';
        const failed = { count: 0, ...asked, service, via: `the operator's pages, ${ctx.ip}` } as const;
        events.emit('operator.failed', failed);
        // A primary that does not answer has other troubles, and is told of by others.
        await tree.happened(recentEvent('operator.failed', failed)).catch(() => undefined);
      }
      throw thrown;
    }
  };
}
