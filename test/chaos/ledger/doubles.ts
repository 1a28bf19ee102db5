import type { LedgerEntry } from '../../process/mail-ledger';
import type { Incident } from '../scene/scene';

/** A mail that was taken before its processor died may have been taken this long before: it was still to be recorded. */
const UNRECORDED_MS = 3000;
/** A mail counts as taken a little before the client hears so, and a kill as done a little after. */
const CLOCK_MS = 10;

export interface Double {
  readonly to: string;
  /** Why; undefined: nothing that happened explains it. */
  readonly reason: string | undefined;
}

/**
 * Mails that somebody got again. SMTP leaves one gap: the server has taken the mail, and whoever sent it dies before
 * writing that down, or never hears the answer.
 */
export function doublesOf(
  mails: ReadonlyMap<string, readonly LedgerEntry[]>,
  incidents: readonly Incident[],
): Double[] {
  return [...mails].flatMap(([to, got]) =>
    got.slice(1).map((second, index) => {
      const first = got[index] ?? second;
      return { to, reason: first.messageId === second.messageId ? explained(first, second, incidents) : undefined };
    }),
  );
}

function explained(first: LedgerEntry, second: LedgerEntry, incidents: readonly Incident[]): string | undefined {
  const between = incidents.filter(({ at }) => at > first.at - CLOCK_MS && at < second.at);
  if (between.some(({ kind, at }) => kind === 'processor died' && at - first.at < UNRECORDED_MS)) {
    return 'the job processor was killed between the server’s yes and its record';
  }
  // Noted when it began and when it ended.
  return between.some(({ kind }) => kind === 'answer of SMTP lost')
    ? 'the server’s yes was lost on its way'
    : undefined;
}
