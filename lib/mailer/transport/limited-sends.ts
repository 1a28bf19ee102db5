/** Limit of a whole delivery: below the lease of a delivery record, and below SHUTDOWN_TIMEOUT. */
const SEND_TIMEOUT_MS = 20_000;

/** Sends that end after a time, or when the process stops. */
export class LimitedSends {
  private readonly underway = new Set<AbortController>();

  /** @param name of whoever takes the mails, for errors. @param sendMs limit of a whole delivery, ms. Default 20,000. */
  constructor(
    private readonly name: string,
    private readonly sendMs = SEND_TIMEOUT_MS,
  ) {}

  /**
   * @param work ends when its signal is aborted. Not by `AbortSignal.any` and `timeout`: Node may collect such a signal, and then
   * it never aborts.
   * @throws Error that says what has ended it; whatever it throws.
   */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    const late = new Error(`${this.name} did not answer within ${this.sendMs} ms`);
    const timer = setTimeout(() => controller.abort(late), this.sendMs);
    this.underway.add(controller);
    try {
      return await work(controller.signal);
    } catch (thrown) {
      throw controller.signal.aborted ? controller.signal.reason : thrown;
    } finally {
      clearTimeout(timer);
      this.underway.delete(controller);
    }
  }

  /** Ends all that are underway. */
  cutOff(): void {
    for (const send of this.underway) send.abort(new Error(`${this.name} did not answer before the process stopped`));
  }
}
