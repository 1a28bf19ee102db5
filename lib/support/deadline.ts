/**
 * One moment in the future, on the monotonic clock, passed down so that nested waits share it.
 * Never sent to another process as a time (clocks differ): send `remaining()` and make a new one there.
 */
export class Deadline {
  private constructor(private readonly at: number) {}

  /** @param ms milliseconds from now; 0 or less is already expired. */
  static after(ms: number): Deadline {
    return new Deadline(performance.now() + ms);
  }

  /** Milliseconds left, never below 0. */
  remaining(): number {
    return Math.max(0, this.at - performance.now());
  }

  get expired(): boolean {
    return this.remaining() === 0;
  }

  /** The same deadline moved `ms` earlier: what is left for a part that must end before the whole. */
  earlier(ms: number): Deadline {
    return new Deadline(this.at - ms);
  }

  /**
   * Waits for `work`, but not past the deadline.
   * @returns `done` or `late`; rejects as `work` does when it fails in time.
   */
  async wait(work: Promise<unknown>): Promise<'done' | 'late'> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), this.remaining());
    });
    try {
      return await Promise.race([work.then((): 'done' => 'done'), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
