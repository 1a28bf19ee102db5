/** What was read last: a value, or why there is none, and since when. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T; readonly tookMs: number }
  | { readonly ok: false; readonly error: Error; readonly since: Date };

export interface SourceOptions {
  /** A value that is younger is good enough, ms. */
  readonly freshMs: number;
  /** Who waits longer for an answer goes on without, ms. Default 1500. */
  readonly limitMs?: number;
}

/** What could not be read is asked for again so soon, ms. */
const AGAIN_MS = 1900;

/** Something that many look at and that is read no more often than it must be. It never rejects. */
export class Source<T> {
  private reading: Promise<Reading<T>> | undefined;
  private readAt = 0;
  private failingSince: Date | undefined;

  constructor(
    private readonly read: () => Promise<T>,
    private readonly options: SourceOptions,
  ) {}

  get(): Promise<Reading<T>> {
    const now = performance.now();
    const { freshMs } = this.options;
    const goodFor = this.failingSince ? Math.min(freshMs, AGAIN_MS) : freshMs;
    if (!this.reading || now - this.readAt > goodFor) {
      this.readAt = now;
      this.reading = this.readOnce();
    }
    return this.reading;
  }

  private async readOnce(): Promise<Reading<T>> {
    const begun = performance.now();
    try {
      const value = await this.withinLimit();
      this.failingSince = undefined;
      return { ok: true, value, tookMs: performance.now() - begun };
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      this.failingSince ??= new Date();
      return { ok: false, error, since: this.failingSince };
    }
  }

  private async withinLimit(): Promise<T> {
    const { limitMs = 1500 } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
    });
    try {
      return await Promise.race([this.read(), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The value, where there is one. */
export function valueIn<T>(reading: Reading<T>): T | undefined {
  return reading.ok ? reading.value : undefined;
}
