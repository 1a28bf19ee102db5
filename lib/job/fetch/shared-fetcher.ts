import type { Delivery } from './fetch-call';
import { MAX_DELIVERIES } from './fetch-script';
import { Fetcher, RELEASED } from './fetcher';
import type { FetcherOptions, Permits } from './fetcher-types';

/** A call that waits for longer returns its permits, so that a frozen server does not stop the others, ms. */
const LATE_MS = 500;

/** The permits of a process that fetches from several servers. */
export interface SharedPermits extends Permits {
  readonly fetchers: SharedFetcher[];
  /** @returns the fetchers in the order in which they take permits that are free again. */
  readonly inTurn: () => readonly SharedFetcher[];
}

/** A fetcher of one server of several, which shares its permits with those of the others. */
export class SharedFetcher extends Fetcher {
  protected override readonly isShared = true;

  constructor(
    options: FetcherOptions,
    private readonly shared: SharedPermits,
  ) {
    super({ ...options, permits: shared });
    shared.fetchers.push(this);
  }

  protected override get isBusy(): boolean {
    return this.shared.fetchers.some((one) => one.running.size > 0 || one.fetches > 0);
  }

  protected override hold(wanted: number): () => number {
    if (wanted === 0) return () => 0;
    let held = wanted;
    const timer = setTimeout(() => {
      held = 0;
      this.late++;
      this.fetches--;
      this.shared.free += wanted;
      this.freed();
    }, LATE_MS);
    return () => {
      clearTimeout(timer);
      if (held > 0) return held;
      this.late--;
      this.fetches++;
      return 0;
    };
  }

  /** Wakes the fetchers that had found no permit. */
  protected override freed(own = false): void {
    for (const one of this.shared.inTurn()) {
      const isMissing = one !== this && one.missedWake && this.shared.free > 0;
      if (isMissing) one.missedWake = false;
      if (isMissing || (own && one === this)) one.schedule();
    }
  }

  /** There may be no permits left for jobs of a late reply; such jobs are returned at once. */
  protected override fit(deliveries: readonly Delivery[], held: number): readonly Delivery[] {
    if (held > 0) return deliveries;
    const permitted = deliveries.length + Math.min(0, this.shared.free);
    const fit = deliveries.filter((one, index) => index < permitted && one.deliveries < MAX_DELIVERIES);
    for (const delivery of deliveries) if (!fit.includes(delivery)) this.ran(delivery, RELEASED);
    return fit;
  }
}
