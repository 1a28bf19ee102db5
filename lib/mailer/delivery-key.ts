import { createHash, randomUUID } from 'node:crypto';
import { currentContext } from '../core/execution-context';
import { domainOf } from '../support/email-address';
import type { Draft } from './draft';
import { recipients } from './transport/mime';

/** How a mail is known again when its job runs again. */
export interface DeliveryKey {
  readonly key: string;
  /** Derived from the key, so that the receiving side can tell a duplicate. */
  readonly messageId: string;
}

interface Run {
  readonly attempt: number | undefined;
  /** How often this run has sent to the same people from the same action. */
  readonly counts: Map<string, number>;
}

/**
 * Names mails within a job's run: `<job id>/<digest of action, recipients and records>/<n>`, n counting mails that are
 * otherwise alike. The place in the run alone would not do: when the second run has one recipient less, or another order,
 * mails are taken for ones already sent, and some are lost. Nor would all that the action is given: a token or a number
 * may be another in the second run, and the mail is the same.
 */
export class DeliveryKeys {
  private readonly runs = new Map<string, Run>();

  /** Outside a job every mail has a key of its own. @param given to the action: what of it has an id tells mails apart. */
  next(draft: Draft, given: readonly unknown[] = []): DeliveryKey {
    const { jobId } = currentContext();
    const key = jobId === undefined ? `once/${randomUUID()}` : this.within(jobId, draft, given);
    return {
      key,
      messageId: `<${key.replaceAll('/', '.').replace(/[^A-Za-z0-9._-]/g, escaped)}@${domainOf(draft.from.address)}>`,
    };
  }

  /** A job's run begins or has ended: its count starts anew. */
  forget(jobId: string): void {
    this.runs.delete(jobId);
  }

  private within(jobId: string, draft: Draft, given: readonly unknown[]): string {
    const { attempt } = currentContext();
    const known = this.runs.get(jobId);
    const run: Run = known && known.attempt === attempt ? known : { attempt, counts: new Map() };
    this.runs.set(jobId, run);
    const identity = digest([draft.mailer, draft.action, ...recipients(draft).sort(), ...given.flatMap(idsOf)]);
    const n = (run.counts.get(identity) ?? 0) + 1;
    run.counts.set(identity, n);
    return `${jobId}/${identity}/${n}`;
  }
}

/** `7` of a record, or of a list of such. */
function idsOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(idsOf);
  const id: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'id') : undefined;
  return typeof id === 'string' || typeof id === 'number' || typeof id === 'bigint' ? [String(id)] : [];
}

function digest(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

function escaped(character: string): string {
  return `_${character.codePointAt(0)?.toString(16)}`;
}
