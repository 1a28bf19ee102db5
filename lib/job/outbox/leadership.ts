/** Time for which the others wait for the leader, ms; up to half as much more by chance, so that one of them is first. */
const GRACE_MS = 700;

export interface LeadershipOptions {
  /** Unique among all relays. */
  readonly id: string;
  /** @returns true: notifications of Postgres arrive here. Without them nobody is waited for. */
  readonly hears: () => boolean;
  readonly graceMs?: number | undefined;
  /** The monotonic clock, ms. */
  readonly now?: () => number;
  readonly random?: () => number;
}

/**
 * Decides which of many relays works. All hear of new rows, and all hear which of them has looked last, and when it will
 * look again: that one leads. The others look only if it is late by the time of grace, as after kill -9, when it is
 * frozen, or when it needs that long for a batch; whoever looks then leads. So the lease lasts from one notification to the
 * next, and costs nothing while nothing happens, unlike a row that is renewed; and no session holds it, as it would an
 * advisory lock. That two may lead for a moment does no harm: rows are claimed by locks.
 */
export class Leadership {
  private leader: string | undefined;
  /** Time of the first sign of new rows that no relay has answered yet. */
  private unansweredAt: number | undefined;
  /** Time at which the leader will look again by what it has said last. */
  private nextLookAt: number | undefined;
  private readonly graceMs: number;
  private readonly now: () => number;

  constructor(private readonly options: LeadershipOptions) {
    const { graceMs = GRACE_MS, now = () => performance.now(), random = Math.random } = options;
    this.graceMs = graceMs * (1 + random() / 2);
    this.now = now;
  }

  /** true: notifications of Postgres arrive here. */
  get hears(): boolean {
    return this.options.hears();
  }

  /** true: this relay does not wait for another. */
  get leads(): boolean {
    return this.leader === undefined || this.isLeader || !this.hears;
  }

  /** true: the others wait for this relay. */
  get isLeader(): boolean {
    return this.leader === this.options.id;
  }

  /** Call when there may be new rows. */
  noticed(): void {
    this.unansweredAt ??= this.now();
  }

  /** Call when the leader may be another, since something may have been missed. */
  forget(): void {
    this.leader = undefined;
    this.noticed();
  }

  /** Call with the message of a relay that has looked, or has ended. */
  heard(message: string): void {
    const [leader = '', ms = ''] = message.split(' ');
    this.leader = leader || undefined;
    this.unansweredAt = undefined;
    this.nextLookAt = ms === '' ? undefined : this.now() + Math.max(0, Number(ms));
  }

  /** @returns the message of this relay when it has looked, to which the time until it looks again (ms) is added. */
  get message(): string {
    return `${this.options.id} `;
  }

  /** @returns ms until this relay is to look; 0 or less: now. undefined: not before it hears something. */
  get waitMs(): number | undefined {
    if (this.leads) return 0;
    const signs = [this.unansweredAt, this.nextLookAt].filter((at) => at !== undefined);
    return signs.length === 0 ? undefined : Math.min(...signs) + this.graceMs - this.now();
  }
}
