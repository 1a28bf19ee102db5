/**
 * Postgres connections of a processor's pool. Each job may hold a transaction. The one connection more is taken in turns,
 * for a statement each, by the outbox and by what is recorded of mails, which is never part of a job's transaction: so
 * nobody waits for somebody who waits for a connection.
 */
export function poolSizeFor(concurrency: number): number {
  return Math.max(3, concurrency + 1);
}
