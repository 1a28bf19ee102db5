/** A process that can keep the tree's place in Redis. */
export interface ReporterCandidate {
  readonly pid: number;
  /** It serves, and is heard of. */
  readonly fit: boolean;
  appoint(on: boolean): void;
}

const CHECK_MS = 1000;

/**
 * Sees to it that one of the tree's processes keeps its place in Redis, for which the primary is too small. Should
 * there be two for a moment, what they write is the same.
 */
export class ReporterElection {
  private current: ReporterCandidate | undefined;
  private timer: NodeJS.Timeout | undefined;

  /** @param candidates the best first. */
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
    if (current?.fit) return;
    const next = candidates.find(({ fit }) => fit);
    if (!next) return;
    current?.appoint(false);
    next.appoint(true);
    this.current = next;
  }
}
