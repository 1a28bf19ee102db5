import type { Events } from '../../core/events';
import { PeriodicTask } from '../../support/periodic-task';
import { toError } from '../../support/to-error';
import type { JobSetup } from '../definition/setup';

/** As Sidekiq's beat. */
const HEARTBEAT_MS = 10_000;

type Hooks = Pick<JobSetup, 'onQuiet' | 'onResume' | 'onHeartbeat'>;

export interface LifecycleOptions {
  readonly hooks: Hooks;
  readonly events: Events;
  readonly snapshot: () => { readonly running: readonly unknown[]; readonly quiet: boolean };
  readonly heartbeatMs?: number | undefined;
}

/** Calls the app's hooks of a job processor. Their errors are reported, and change nothing. */
export class Lifecycle {
  private readonly heartbeat: PeriodicTask;
  private isQuiet = false;
  /** Pending while a hook of a change runs: the next one waits for it. */
  private changing: Promise<void> = Promise.resolve();

  constructor(private readonly options: LifecycleOptions) {
    const { hooks, snapshot, heartbeatMs = HEARTBEAT_MS } = options;
    this.heartbeat = new PeriodicTask({
      everyMs: heartbeatMs,
      work: async () => {
        const { running, quiet } = snapshot();
        await this.call('onHeartbeat', () => hooks.onHeartbeat?.({ running: running.length, quiet }));
        return undefined;
      },
      onError: () => undefined,
    });
  }

  start(): void {
    if (this.options.hooks.onHeartbeat) this.heartbeat.start();
  }

  changed(isQuiet: boolean): void {
    if (this.isQuiet === isQuiet) return;
    this.isQuiet = isQuiet;
    const name = isQuiet ? 'onQuiet' : 'onResume';
    this.changing = this.changing.then(() => this.call(name, () => this.options.hooks[name]?.()));
  }

  /** Ends the heartbeats. Resolves when no hook runs any more. */
  async stop(): Promise<void> {
    await Promise.all([this.heartbeat.stop(), this.changing]);
  }

  private async call(name: keyof Hooks, hook: () => unknown): Promise<void> {
    try {
      await hook();
    } catch (thrown) {
      this.options.events.emit('process.error', { error: toError(thrown), during: `the app's ${name}` });
    }
  }
}
