import type { Events } from '../../core/events';
import { PeriodicTask } from '../../support/periodic-task';
import { type JobsHealth, type ProcessorStats, reported, UNRESPONSIVE_MS } from '../status';

const CHECK_INTERVAL_MS = 1000;

interface JobsWatchOptions {
  readonly processor: () => ProcessorStats;
  /** Age of its last heartbeat on the monotonic clock, ms. */
  readonly silentMs: () => number;
  readonly events: Events;
  /** Called when the sentences about stalled jobs change, or, while jobs are stalled, the time of the oldest due one. */
  readonly onChange: (change: Pick<JobsHealth, 'stalled' | 'dueSinceS'>) => void;
  readonly everyMs?: number;
}

/** Passes on the job processor's own reports of stalled jobs, and reports a processor that has become unresponsive. */
export class JobsWatch {
  private last: Pick<JobsHealth, 'stalled' | 'dueSinceS'> = { stalled: null, dueSinceS: null };
  /** Age of the last heartbeat of a frozen processor, ms; 0: it is not frozen. */
  private frozenMs = 0;
  readonly task: PeriodicTask;

  constructor(private readonly options: JobsWatchOptions) {
    const { events, everyMs = CHECK_INTERVAL_MS } = options;
    this.task = new PeriodicTask({
      everyMs,
      work: () => this.check(),
      onError: (error) => events.emit('process.error', { error, during: 'checking whether jobs make progress' }),
    });
  }

  private async check(): Promise<undefined> {
    const { events, onChange, silentMs } = this.options;
    // This process itself may have been suspended: a heartbeat that has arrived meanwhile is read first.
    if (silentMs() > UNRESPONSIVE_MS) await new Promise((resolve) => setImmediate(resolve));
    const { state, lastStatus } = this.options.processor();
    const reports = state === 'ready' || state === 'quiet';
    const ageMs = reports ? silentMs() : 0;
    const frozenMs = ageMs > UNRESPONSIVE_MS ? ageMs : 0;
    let stalled = (reports ? reported(lastStatus)?.stalled : null) ?? null;
    if (frozenMs > 0 || this.frozenMs > 0) {
      const { part, cause, about, words, reason } = await frozenProcessor();
      if (this.frozenMs === 0)
        events.emit('processor.stalled', { part, cause, about, words, reason, spanMs: frozenMs });
      if (frozenMs === 0) events.emit('processor.moves', { part, about, words, spanMs: this.frozenMs });
      else stalled = `${words} stands still: ${reason}`;
    }
    this.frozenMs = frozenMs;
    const oldestMs = reported(lastStatus)?.waiting?.reduce((most, { ms }) => Math.max(most, ms), 0) ?? 0;
    // All processes of a machine share this clock. Whole seconds are compared, so a difference of one is no change.
    const dueSinceS =
      stalled === null || oldestMs === 0 ? null : Math.round(process.hrtime()[0] - (oldestMs + ageMs) / 1000);
    if (stalled === this.last.stalled && Math.abs((dueSinceS ?? 0) - (this.last.dueSinceS ?? 0)) <= 1) return;
    this.last = { stalled, dueSinceS };
    onChange(this.last);
  }
}

/** The words are loaded when a processor freezes, which most never do. */
async function frozenProcessor() {
  const { causeText, partText } = await import('../../core/failure-cause');
  const [part, cause] = ['processor', 'frozen'] as const;
  return { part, cause, about: '', words: partText(part), reason: causeText(cause) };
}
