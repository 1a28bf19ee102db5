/** How long the others wait for the leader, ms, plus up to half as much at random, so that one of them is first. */
const GRACE_MS = 700;

export interface LeadershipOptions {
  /** Unique among all dispatchers. */
  readonly id: string;
  /** @returns true: notifications of Postgres arrive here. Without them this dispatcher waits for no other. */
  readonly isNotified: () => boolean;
  readonly graceMs?: number | undefined;
  /** The monotonic clock, ms. */
  readonly now?: () => number;
  readonly random?: () => number;
}

/**
 * Decides which of many dispatchers works. Whichever has looked last leads.
 *
 * - **Notifications** of Postgres tell all dispatchers that there is something to do, which dispatcher has looked, and when it
 *   will look again.
 * - **The leader** looks at once.
 * - **The others** trust the leader until it is late by the grace period, as after kill -9 or while it is frozen. Then each
 *   looks after a time of its own. The first one leads, and the rest hear of it.
 * - **Nobody is known to lead** at the start, after a leader has ended, and where notifications may have been missed or do not
 *   arrive. Then everybody looks.
 * - **Two leaders** at once do no harm, since rows are locked, and hints may come twice.
 *
 * So a lease lasts from one notification to the next. Unlike a row that has to be renewed, it costs nothing while nothing
 * happens. Unlike an advisory lock, it is not tied to a session.
 */
export class Leadership {
  private leader: string | undefined;
  /** Time of the first sign of something to do that no dispatcher has answered yet. */
  private unansweredAt: number | undefined;
  /** Time at which the leader will look again, by its latest message. */
  private nextLookAt: number | undefined;
  private readonly graceMs: number;
  private readonly now: () => number;

  constructor(private readonly options: LeadershipOptions) {
    const { graceMs = GRACE_MS, now = () => performance.now(), random = Math.random } = options;
    this.graceMs = graceMs * (1 + random() / 2);
    this.now = now;
  }

  /** true: notifications of Postgres arrive here. */
  get isNotified(): boolean {
    return this.options.isNotified();
  }

  /** true: this dispatcher does not wait for another. */
  get leads(): boolean {
    return this.leader === undefined || this.isLeader || !this.isNotified;
  }

  /** true: the others wait for this dispatcher. */
  get isLeader(): boolean {
    return this.leader === this.options.id;
  }

  /** Call when there may be something to do. @param inMs only after this time does the leader look. */
  noticed(inMs = 0): void {
    this.unansweredAt = Math.min(this.unansweredAt ?? Number.POSITIVE_INFINITY, this.now() + inMs);
  }

  /** Call when messages may have been missed, so that another dispatcher may lead by now. */
  forget(): void {
    this.leader = undefined;
    this.noticed();
  }

  /** Call with the message of a dispatcher that has looked, or has ended. */
  heard(message: string): void {
    const [leader = '', ms = ''] = message.split(' ');
    this.leader = leader || undefined;
    this.unansweredAt = undefined;
    this.nextLookAt = ms === '' ? undefined : this.now() + Math.max(0, Number(ms));
  }

  /** @returns the message of this dispatcher after a look; the time until its next one (ms) is appended. */
  get message(): string {
    return `${this.options.id} `;
  }

  /** @returns ms until this dispatcher should look; 0 or less: now; undefined: not before it hears something. */
  get waitMs(): number | undefined {
    if (this.leads) return 0;
    const signs = [this.unansweredAt, this.nextLookAt].filter((at) => at !== undefined);
    return signs.length === 0 ? undefined : Math.min(...signs) + this.graceMs - this.now();
  }
}
