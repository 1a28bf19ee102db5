import type { ProcessorStatus } from '../cluster/status';
import type { Events } from '../core/events';
import type { AboutStandstill, FailureCause, StalledPart } from '../core/failure-cause';
import { causeText, partText } from '../core/failure-cause';
import type { ProgressReading } from '../support/progress';

/** A part of a tree's jobs that makes no progress although it has something to do. */
export interface Standstill {
  readonly part: StalledPart;
  readonly cause: FailureCause;
  /** Time for which it has stood still, ms. */
  readonly spanMs: number;
  /** The queue concerned, or the error's message; empty when neither is known. */
  readonly about: string;
}

/**
 * A part whose work has been due for this long stands still, ms. The heartbeat, the primary's check and its message to the web
 * workers take time, too. So `/ready`, `/ops` and the log report a standstill within 15 s.
 */
const STALLED_MS = 10_000;

/** At the start of a processor this is enough, ms, since its process had to boot before anything could be due. */
const AT_START_MS = 5000;
/** Work that becomes due within this time after the start, ms, counts as due since the start. */
const FIRST_MS = 2000;

/**
 * Corrects the time for which work has been due, ms. Work that a processor meets at its start may have been due before, and
 * nobody told of it while the process booted. So a part that has not moved since counts from the start of its process.
 * @param processMs age of the process. @param workMs time since it began to work.
 */
export function owedSinceStart(
  { movedMs, owedMs }: Pick<ProgressReading, 'movedMs' | 'owedMs'>,
  processMs: number,
  workMs: number,
): number {
  const isFirst = movedMs === null && owedMs >= AT_START_MS && owedMs > workMs - FIRST_MS;
  return isFirst ? Math.max(owedMs, processMs) : owedMs;
}

type Reported = Pick<ProcessorStatus, 'quiet'> & Partial<Pick<ProcessorStatus, 'progress' | 'waiting'>>;

/** Finds the standstills in what the processor knows itself, without a request to any server. */
export function findStandstills({ quiet, progress = [], waiting = [] }: Reported): Standstill[] {
  const stalled = progress
    .filter(({ owedMs }) => owedMs >= STALLED_MS)
    .map(({ part, owedMs, cause, error }): Standstill => ({ part, cause, spanMs: owedMs, about: error }));
  // An operator makes these jobs wait. A job that waits for a free slot is merely late.
  const held = waiting
    .filter(({ ms, paused }) => ms >= STALLED_MS && (quiet || paused))
    .map(({ queue, ms, paused }): Standstill => {
      return { part: 'queue', cause: paused ? 'paused' : 'quiet', spanMs: ms, about: queue };
    });
  return [...stalled, ...held];
}

/** Reports in the job processor when a part of it comes to a standstill, and when it makes progress again. */
export class StandstillReporter {
  private known = new Map<string, Standstill>();

  constructor(private readonly events: Events) {}

  /** Call with every heartbeat. @returns sentences that anybody may read; null: nothing stands still. */
  report(status: Reported): string | null {
    const found = new Map(findStandstills(status).map((one) => [standstillKey(one), one]));
    for (const [key, one] of found) if (!this.known.has(key)) this.events.emit('processor.stalled', inWords(one));
    const parts = new Set([...found.values()].map(partKey));
    for (const one of this.known.values()) {
      const { cause: _cause, reason: _reason, ...about } = inWords(one);
      // A part that now stands still for another reason has made no progress.
      if (!parts.has(partKey(one))) this.events.emit('processor.recovered', about);
    }
    this.known = found;
    return found.size === 0 ? null : [...found.values()].map(sentence).join('; ');
  }
}

function inWords(one: Standstill): AboutStandstill {
  return { ...one, words: partText(one.part), reason: causeText(one.cause) };
}

/** Leaves out a server's error message, since strangers may read the sentence at `/ready`. */
function sentence(one: Standstill): string {
  const { words, reason } = inWords(one);
  return `${words}${one.part === 'queue' ? ` (${one.about})` : ''} stands still: ${reason}`;
}

function standstillKey(one: Standstill): string {
  return `${partKey(one)} ${one.cause}`;
}

function partKey({ part, about }: Standstill): string {
  return part === 'queue' ? `${part} ${about}` : part;
}
