/** A process that can be the tree's reporter in Redis. */
export interface ReporterCandidate {
  readonly pid: number;
  /** True while it serves and is responsive. */
  readonly healthy: boolean;
  appoint(on: boolean): void;
}

const CHECK_MS = 1000;

/**
 * Appoints one process of the tree to report its status to Redis, since the primary is to stay small. Two reporters for
 * a moment do no harm: they write the same.
 */
export class ReporterElection {
  private current: ReporterCandidate | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** @param candidates in order of preference. */
  constructor(private readonly candidates: () => readonly ReporterCandidate[]) {}

  start(): void {
    this.timer ??= setInterval(() => this.check(), CHECK_MS);
  }

  stop(): void {
    clearInterval(this.timer);
  }

  check(): void {
    const candidates = this.candidates();
    const current = candidates.find(({ pid }) => pid === this.current?.pid);
    if (current?.healthy) return;
    const next = candidates.find(({ healthy }) => healthy);
    if (!next) return;
    current?.appoint(false);
    next.appoint(true);
    this.current = next;
  }
}
