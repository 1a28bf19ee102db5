import { pluralize } from './counted';
import type { Deadline } from './deadline';

/**
 * A part of a process that is started and stopped. `start` and `stop` are idempotent. `stop` is safe before `start`, and must
 * settle by the deadline. It leaves unfinished work in a state from which the next start recovers.
 */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  stop(deadline: Deadline): Promise<void>;
}

/** Starts services in order and stops those that were started in reverse. */
export class ServiceGroup implements Service {
  private readonly started: Service[] = [];
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(
    readonly name: string,
    private readonly services: readonly Service[],
  ) {}

  start(): Promise<void> {
    this.starting ??= this.startAll();
    return this.starting;
  }

  /** Stops every started service, even when one fails. @throws AggregateError of all failures. */
  stop(deadline: Deadline): Promise<void> {
    this.stopping ??= this.stopAll(deadline);
    return this.stopping;
  }

  /** Starts one more service once the others have started; it is stopped first. @returns false in a stop: not started. */
  async add(service: Service): Promise<boolean> {
    await this.starting;
    if (this.stopping) return false;
    this.started.push(service);
    await service.start();
    return true;
  }

  private async startAll(): Promise<void> {
    for (const service of this.services) {
      if (this.stopping) return;
      this.started.push(service);
      await service.start();
    }
  }

  private async stopAll(deadline: Deadline): Promise<void> {
    await this.starting?.catch(() => undefined);
    const errors: unknown[] = [];
    for (const service of this.started.reverse()) {
      await service.stop(deadline).catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0)
      throw new AggregateError(errors, `${this.name}: ${pluralize(errors.length, 'service')} failed to stop`);
  }
}
