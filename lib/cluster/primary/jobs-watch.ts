import type { Events } from '../../core/events';
import type { AboutStandstill } from '../../core/failure-cause';
import { PeriodicTask } from '../../support/periodic-task';
import { CHILD_SILENT_MS, type JobsHealth, type ProcessorStats, reported } from '../status';

const CHECK_INTERVAL_MS = 1000;

interface JobsWatchOptions {
  readonly processor: () => ProcessorStats;
  /** Age of its last heartbeat, before the first that of the process, on the monotonic clock, ms. */
  readonly silentMs: () => number;
  /** A processor that has not booted for this long stands still, ms. */
  readonly bootTimeoutMs: number;
  readonly events: Events;
  /** Called when the sentences about stalled jobs change, or, while jobs are stalled, the time of the oldest due one. */
  readonly onChange: (change: Pick<JobsHealth, 'stalled' | 'dueSinceS'>) => void;
  readonly everyMs?: number;
}

/** Passes on the job processor's own reports of stalled jobs, and reports one that is unresponsive, or boots for long. */
export class JobsWatch {
  private last: Pick<JobsHealth, 'stalled' | 'dueSinceS'> = { stalled: null, dueSinceS: null };
  /** What was reported of a silent processor; undefined once it reports itself. */
  private told: AboutStandstill | undefined;
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
    const { events, onChange, silentMs, bootTimeoutMs } = this.options;
    // This process itself may have been suspended: a heartbeat that has arrived meanwhile is read first.
    if (silentMs() > CHILD_SILENT_MS) await new Promise((resolve) => setImmediate(resolve));
    const { state, lastStatus } = this.options.processor();
    const reports = state === 'ready' || state === 'quiet';
    const boots = state === 'booting';
    const ageMs = reports || boots ? silentMs() : 0;
    const isSilent = ageMs > (boots ? bootTimeoutMs : CHILD_SILENT_MS);
    let stalled = (reports ? reported(lastStatus)?.stalled : null) ?? null;
    if (isSilent) {
      // Loaded on demand: most processors never freeze, and boot fast.
      const { aboutProcessor } = await import('../../core/failure-cause');
      const about = aboutProcessor(boots ? 'boots' : 'frozen');
      if (this.told?.cause !== about.cause) events.emit('processor.stalled', { ...about, spanMs: ageMs });
      this.told = { ...about, spanMs: ageMs };
      stalled = `${about.words} stands still: ${about.reason}`;
    } else if (this.told && reports) {
      const { part, about, words, spanMs } = this.told;
      events.emit('processor.recovered', { part, about, words, spanMs });
      this.told = undefined;
    }
    const oldestMs = reported(lastStatus)?.waiting?.reduce((most, { ms }) => Math.max(most, ms), 0) ?? 0;
    // All processes of a machine share this clock. Whole seconds are compared, so a difference of one is no change.
    const dueSinceS =
      stalled === null || oldestMs === 0 ? null : Math.round(process.hrtime()[0] - (oldestMs + ageMs) / 1000);
    if (stalled === this.last.stalled && Math.abs((dueSinceS ?? 0) - (this.last.dueSinceS ?? 0)) <= 1) return;
    this.last = { stalled, dueSinceS };
    onChange(this.last);
  }
}
