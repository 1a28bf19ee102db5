import type { ProcessorStats } from '../cluster/status';
import { sentenceOf } from '../core/event-catalog';
import type { Events } from '../core/events';
import { PeriodicTask } from '../support/periodic-task';
import { type Standstill, standstillsOf } from './standstills';

const CHECK_INTERVAL_MS = 1000;

export interface StandstillWatchOptions {
  readonly processor: () => ProcessorStats;
  readonly events: Events;
  /** Called with the reason in words when it changes; null: everything moves. */
  readonly onReason: (reason: string | null) => void;
  /** Interval of the checks, ms. Default 1000. */
  readonly everyMs?: number;
}

/**
 * Says when a part of the tree's jobs comes to a standstill, and when it moves again. The primary has one: it asks
 * nobody, since the processor's heartbeats carry all that is judged.
 */
export class StandstillWatch {
  private known = new Map<string, Standstill>();
  private reason: string | null = null;
  private readonly task: PeriodicTask;

  constructor(private readonly options: StandstillWatchOptions) {
    const { events, everyMs = CHECK_INTERVAL_MS } = options;
    this.task = new PeriodicTask({
      everyMs,
      work: async () => {
        this.check();
        return undefined;
      },
      onError: (error) => events.emit('process.error', { error, during: 'judging whether jobs move' }),
    });
  }

  start(): void {
    this.task.start();
  }

  stop(): Promise<void> {
    return this.task.stop();
  }

  private check(): void {
    const { processor, events, onReason } = this.options;
    const found = new Map(standstillsOf(processor(), new Date()).map((one) => [keyOf(one), one]));
    for (const [key, one] of found) if (!this.known.has(key)) events.emit('processor.stalled', { ...one });
    for (const [key, { part, about, spanMs }] of this.known)
      if (!found.has(key)) events.emit('processor.moves', { part, about, spanMs });
    this.known = found;
    const reason = reasonOf([...found.values()]);
    if (reason === this.reason) return;
    this.reason = reason;
    onReason(reason);
  }
}

/** One sentence for each standstill; null when there is none. */
function reasonOf(found: readonly Standstill[]): string | null {
  if (found.length === 0) return null;
  // Anybody may read it, and a server's own words may name users and hosts.
  const told = found.map((one) => ({ ...one, about: one.part === 'queue' ? one.about : '' }));
  return told.map((one) => sentenceOf('processor.stalled', one) ?? one.part).join('; ');
}

function keyOf({ part, cause, about }: Standstill): string {
  return `${part} ${cause} ${part === 'queue' ? about : ''}`;
}
