import { createHash, randomUUID } from 'node:crypto';
import { currentContext } from '../core/execution-context';
import { domainOf } from '../support/email-address';
import type { Draft } from './draft';
import { recipients } from './transport/mime';

/** How a mail is known again when its job runs again. */
export interface DeliveryKey {
  readonly key: string;
  /**
   * For a mail that has none yet: the first claim keeps it in the delivery record, so that the receiving side can tell a
   * duplicate. Not derived from the key, for everybody who gets the mail could try guesses at its Bcc.
   */
  readonly messageId: string;
}

interface Run {
  readonly attempt: number | undefined;
  /** How often this run has sent the same. */
  readonly counts: Map<string, number>;
}

/**
 * Names mails within a job's run: `<job id>/<digest of action, recipients, arguments and params>/<n>`, n counting mails
 * that are otherwise alike. Anything less loses mails: of two that share a name, the one that a later run sends is taken
 * for the one that an earlier run has sent. What a run makes anew, such as a token, makes another mail of it: rather
 * twice than never.
 */
export class DeliveryKeys {
  private readonly runs = new Map<string, Run>();

  /** Outside a job every mail has a key of its own. @param given digest of arguments and params. */
  next(draft: Draft, given: string): DeliveryKey {
    const { jobId } = currentContext();
    const id = randomUUID();
    const key = jobId === undefined ? `once/${id}` : this.within(jobId, draft, given);
    const local = `${jobId ?? 'once'}.${id}`.replace(/[^A-Za-z0-9._-]/g, escaped);
    return { key, messageId: `<${local}@${domainOf(draft.from.address)}>` };
  }

  /** A job's run begins or has ended: its count starts anew. */
  forget(jobId: string): void {
    this.runs.delete(jobId);
  }

  private within(jobId: string, draft: Draft, given: string): string {
    const { attempt } = currentContext();
    const known = this.runs.get(jobId);
    const run: Run = known && known.attempt === attempt ? known : { attempt, counts: new Map() };
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
