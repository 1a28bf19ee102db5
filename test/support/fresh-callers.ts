import { request } from './http';

/**
 * Callers each of whom opens a new connection for every request, and who stop calling where nobody listens any more: their
 * connections are always somewhere between the kernel, the primary and a worker.
 */
export class FreshCallers {
  answered = 0;
  /** How often each kind of failure was seen, `ECONNREFUSED` left out. */
  readonly lost: Record<string, number> = {};
  private readonly loops: Promise<void>[];
  private over = false;

  /** @param pathOf gives the path for the n-th request. */
  constructor(
    private readonly address: string,
    count: number,
    private readonly pathOf: (n: number) => string,
  ) {
    this.loops = Array.from({ length: count }, () => this.call());
  }

  /** Resolves when each of them has found nobody who listens, or was told to stop. */
  async end(): Promise<void> {
    await Promise.all(this.loops);
  }

  /** No new requests. */
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
