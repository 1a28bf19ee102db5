import { Transform, type TransformCallback } from 'node:stream';

/** Waits longer than this, ms, use a timer, which is about this precise; shorter ones turn the event loop. */
const TIMER_MS = 1.15;

/** Passes everything on in order, and equally late. */
export class DelayLine extends Transform {
  private readonly queue: { readonly dueAt: number; readonly pass: () => void }[] = [];

  constructor(private readonly delayMs: number) {
    super();
  }

  override _transform(bytes: Buffer, _encoding: string, done: TransformCallback): void {
    this.put(() => this.push(bytes));
    done();
  }

  override _flush(done: TransformCallback): void {
    this.put(done);
  }

  private put(pass: () => void): void {
    if (this.queue.push({ dueAt: performance.now() + this.delayMs, pass }) === 1) this.waitFor(this.delayMs);
  }

  private drain(): void {
    const now = performance.now();
    while (this.queue[0] && this.queue[0].dueAt <= now) this.queue.shift()?.pass();
    if (this.queue[0]) this.waitFor(this.queue[0].dueAt - now);
  }

  /** Timers only take whole milliseconds; the rest of the wait is spent turning the event loop. */
  private waitFor(ms: number): void {
    if (ms > TIMER_MS) setTimeout(() => this.drain(), Math.floor(ms));
    else setImmediate(() => this.drain());
  }
}
