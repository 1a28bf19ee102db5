import { createHash, randomUUID } from 'node:crypto';
import { currentContext } from '../../core/execution-context';
import { readDomain } from '../../support/email-address';
import type { Draft } from '../compose/draft';
import type { IdempotencyKey } from '../definition/mail-types';
import { recipients } from '../transport/transport';
import type { Run } from './delivery-record';

/**
 * Builds idempotency keys: `<job id>/<digest of action, recipients, arguments and params>/<n>`, where n counts equal mails
 * within a run. Every part is needed: if two mails shared a key, a run would take the second for sent. A value that a run
 * creates anew, such as a token, changes the key. The mail is then sent again, since a duplicate is better than a lost mail.
 */
export class IdempotencyKeys {
  private readonly runs = new Map<string, Run>();

  /** Outside a job every mail gets a unique key. @param given digest of the arguments and params. */
  next(draft: Draft, given: string): IdempotencyKey {
    const { jobId } = currentContext();
    const id = randomUUID();
    const key = jobId === undefined ? `once/${id}` : this.within(jobId, draft, given);
    const local = `${jobId ?? 'once'}.${id}`.replace(/[^A-Za-z0-9._-]/g, escaped);
    return { key, messageId: `<${local}@${readDomain(draft.from.address)}>` };
  }

  /** Resets the count of a job's run, when the run begins or has ended. */
  forget(jobId: string): void {
    this.runs.delete(jobId);
  }

  private within(jobId: string, draft: Draft, given: string): string {
    const { attempt } = currentContext();
    const previous = this.runs.get(jobId);
    const run: Run = previous && previous.attempt === attempt ? previous : { attempt, counts: new Map() };
    this.runs.set(jobId, run);
    const identity = digest([draft.mailer, draft.action, ...recipients(draft).sort(), given]);
    const n = (run.counts.get(identity) ?? 0) + 1;
    run.counts.set(identity, n);
    return `${jobId}/${identity}/${n}`;
  }
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

function escaped(character: string): string {
  return `_${character.codePointAt(0)?.toString(16)}`;
}
