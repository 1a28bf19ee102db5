import { PassThrough } from 'node:stream';
import type { OpsContext, Visitor } from './context';
import type { Formatter } from './format';
import type { Counts } from './layout';
import { localizedProblem } from './shell';

/** Streams in one process at once. */
const MOST = 50;
/** Longest life of a stream, ms: its browser asks again, and is looked at again by the gate. */
const LIFE_MS = 10 * 60_000;
/** Routers cut connections on which nothing moves for 55 s. */
const PING_MS = 15_000;
/** How soon a stream ends when its process is asked to go, ms. */
const LOOK_MS = 250;
/** How soon it ends when its reader has signed out, in whatever process, ms. */
const READER_MS = 1000;

/** The event streams of one process. */
export class Streams {
  private open = 0;

  /**
   * @param isLeaving true once the process has been asked to go: every stream ends then.
   * @param hasLeft whether a reader has signed out since: theirs ends then.
   */
  constructor(
    private readonly isLeaving: () => boolean,
    private readonly hasLeft: (reader: Visitor) => Promise<boolean>,
  ) {}

  /** Answers the request with a stream, which holds no slot. @throws ProblemError 503 when there are too many. */
  begin(ctx: OpsContext): EventStream {
    if (this.open >= MOST) throw localizedProblem(503, 'busy', { headers: { 'Retry-After': '30' } });
    this.open++;
    ctx.releaseSlot();
    const body = new PassThrough();
    body.once('close', () => this.open--);
    ctx.status = 200;
    // `no-transform`: a proxy that compresses would hold events back.
    ctx.set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store, no-transform' });
    ctx.set('X-Accel-Buffering', 'no');
    ctx.body = body;
    const stream = new EventStream(body, this.isLeaving);
    const { visitor } = ctx.state;
    stream.every(READER_MS, async () => {
      if (await this.hasLeft(visitor)) stream.end();
    });
    return stream;
  }
}

/** Server-sent events to one page. Ends by itself when the reader leaves, the process goes, or its life is over. */
export class EventStream {
  private readonly sent = new Map<string, string>();

  constructor(
    private readonly body: PassThrough,
    isLeaving: () => boolean,
  ) {
    const endsAt = Date.now() + LIFE_MS;
    const timers = [
      setInterval(() => body.write(': \n\n'), PING_MS),
      setInterval(() => {
        if (isLeaving() || Date.now() > endsAt) this.end();
      }, LOOK_MS),
    ];
    body.once('close', () => {
      for (const timer of timers) clearInterval(timer);
    });
    body.write('retry: 1000\n\n');
  }

  get closed(): boolean {
    return this.body.destroyed || this.body.writableEnded;
  }

  /**
   * @param data is sent as JSON.
   * @returns false when it was dropped: the reader is so far behind that more would only pile up.
   */
  send(event: string, data: unknown = {}): boolean {
    if (this.closed || this.body.writableNeedDrain) return false;
    this.body.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    return true;
  }

  /** The same as `send`, but only when it is something else than the last time. */
  sendWhenNew(event: string, data: unknown): void {
    const text = JSON.stringify(data);
    if (this.sent.get(event) === text) return;
    this.sent.set(event, text);
    this.send(event, data);
  }

  end(): void {
    if (!this.closed) this.body.end();
  }

  /** Calls `work` every `ms`, the next time only when the last is done, until the stream ends. */
  every(ms: number, work: () => unknown): void {
    let timer: NodeJS.Timeout;
    const run = async () => {
      try {
        await work();
      } catch {
        // What cannot be read now may be at the next look.
      }
      if (!this.closed) timer = setTimeout(run, ms);
    };
    timer = setTimeout(run, ms);
    this.body.once('close', () => clearTimeout(timer));
  }
}

/** Sends the header's numbers when they have changed: every live page has a header. What is not known is a dash. */
export async function tellCounts(
  stream: EventStream,
  site: { counts(): Promise<Counts> },
  format: Formatter,
): Promise<void> {
  const counts = Object.entries(await site.counts());
  stream.sendWhenNew('counts', Object.fromEntries(counts.map(([name, number]) => [name, format.count(number)])));
}
