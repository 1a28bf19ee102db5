import type { ProcessorStatus } from '../cluster/status';
import type { Events } from '../core/events';
import type { AboutStandstill, FailureCause, StalledPart } from '../core/failure-cause';

/** A part of a tree's jobs that does not move although it has something to do. */
export interface Standstill {
  readonly part: StalledPart;
  readonly cause: FailureCause;
  /** Time for which it has stood still, ms. */
  readonly spanMs: number;
  /** The queue concerned, or the error in its own words; empty where neither is known. */
  readonly about: string;
}

/**
 * Something that has been due for this long stands still, ms. A heartbeat, the check of the primary and its message to
 * the web workers come on top of it, and within 15 s everybody is told.
 */
const STALLED_MS = 10_000;

/** The same of a server of queues, which is known to be away once its connection is lost, ms. */
const AWAY_MS = 5000;

type Reported = Pick<ProcessorStatus, 'quiet' | 'progress' | 'waiting'>;

/** Judges the jobs of a tree by what its processor knows itself: nobody is asked for it. */
export function standstillsOf({ quiet, progress = [], waiting = [] }: Reported): Standstill[] {
  const stalled = progress
    .filter(({ part, owedMs }) => owedMs >= (part === 'queue' ? AWAY_MS : STALLED_MS))
    .map(({ part, owedMs, cause, error }): Standstill => ({ part, cause, spanMs: owedMs, about: error }));
  // These wait since an operator wants it. What waits for a free slot is merely late.
  const held = waiting
    .filter(({ ms, paused }) => ms >= STALLED_MS && (quiet || paused))
    .map(({ queue, ms, paused }): Standstill => {
      return { part: 'queue', cause: paused ? 'paused' : 'quiet', spanMs: ms, about: queue };
    });
  return [...stalled, ...held];
}

/** Reports in the job processor when a part of it comes to a standstill, and when it moves again. */
export class StandstillReporter {
  private known = new Map<string, Standstill>();

  constructor(private readonly events: Events) {}

  /** Call with every heartbeat. @returns sentences for everybody to read; null: everything moves. */
  report(status: Reported): string | null {
    const found = new Map(standstillsOf(status).map((one) => [keyOf(one), one]));
    for (const [key, one] of found) if (!this.known.has(key)) this.events.emit('processor.stalled', inWords(one));
    const parts = new Set([...found.values()].map(partOf));
    for (const one of this.known.values()) {
      const { cause: _cause, reason: _reason, ...about } = inWords(one);
      // A part that stands still for another reason by now has not moved.
      if (!parts.has(partOf(one))) this.events.emit('processor.moves', about);
    }
    this.known = found;
    return found.size === 0 ? null : [...found.values()].map(sentence).join('; ');
  }
}

function inWords(one: Standstill): AboutStandstill {
  // Loaded on demand: most processors never stand still.
  const { causeText, partText } = require('../core/failure-cause') as typeof import('../core/failure-cause');
  return { ...one, words: partText(one.part), reason: causeText(one.cause) };
}

/** A server's own words and place are left out, since strangers may read this, too. */
function sentence(one: Standstill): string {
  const { words, reason } = inWords(one);
  const queues = one.about.replace(/ at \S+$/, '');
  return `${words}${one.part === 'queue' ? ` (${queues})` : ''} stands still: ${reason}`;
}

function keyOf(one: Standstill): string {
  return `${partOf(one)} ${one.cause}`;
}

function partOf({ part, about }: Standstill): string {
  return part === 'queue' ? `${part} ${about}` : part;
}
