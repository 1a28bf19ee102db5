import { request } from './http';

/**
 * Clients that open a new connection for every request, so that at any moment some connections are still queued in the
 * kernel or between the primary and a worker. A client ends when its connection is refused.
 */
export class FreshCallers {
  answered = 0;
  /** Failures by error code or status; `ECONNREFUSED` is not counted. */
  readonly lost: Record<string, number> = {};
  private readonly loops: Promise<void>[];
  private over = false;

  /** @param pathOf returns the path of a client's n-th request, counted from 0. */
  constructor(
    private readonly address: string,
    count: number,
    private readonly pathOf: (n: number) => string,
  ) {
    this.loops = Array.from({ length: count }, () => this.call());
  }

  /** Resolves when every client has been refused a connection or has stopped. */
  async end(): Promise<void> {
    await Promise.all(this.loops);
  }

  /** Starts no new requests; resolves when the last ones have ended. */
  stop(): Promise<void> {
    this.over = true;
    return this.end();
  }

  private async call(): Promise<void> {
    for (let n = 0; !this.over; n++) {
      try {
        const { status } = await request(new URL(this.pathOf(n), this.address).href);
        if (status >= 500) this.lost[status] = (this.lost[status] ?? 0) + 1;
        else this.answered++;
      } catch (error) {
        const { code = 'no code' } = error as NodeJS.ErrnoException;
        if (code === 'ECONNREFUSED') return;
        this.lost[code] = (this.lost[code] ?? 0) + 1;
      }
    }
  }
}
