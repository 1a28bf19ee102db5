import type { JobContext } from '../job-class';

/** One run of a job in this process. */
export class Run implements JobContext {
  /** ms since 1970. */
  readonly startedAt = Date.now();
  private readonly began = performance.now();
  private controller: AbortController | undefined;
  private reason: Error | undefined;

  constructor(
    readonly id: string,
    readonly queue: string,
    readonly attempt: number,
    readonly jobName: string,
  ) {}

  /** Made when a job first asks for it: few do. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.reason) this.controller.abort(this.reason);
    }
    return this.controller.signal;
  }

  get aborted(): boolean {
    return this.reason !== undefined;
  }

  get durationMs(): number {
    return Math.round(performance.now() - this.began);
  }

  abort(reason: Error): void {
    this.reason ??= reason;
    this.controller?.abort(this.reason);
  }
}
