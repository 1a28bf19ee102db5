import type { Redis } from '../../core/redis';
import { watchReplies } from '../../internals/redis-client';
import { SilenceWatch } from '../../support/progress';

const PATIENCE_MS = 10_000;

/** Reconnects a connection that has owed a reply for so long: its server is frozen, or the connection has ended without notice. */
export function leaveWhenSilent(redis: Redis, patienceMs = PATIENCE_MS): void {
  const silence = new SilenceWatch(patienceMs, (error) => redis.leave(error));
  silence.expectGreeting(redis.client);
  watchReplies(redis.client, silence.expect);
}
