import { PassThrough } from 'node:stream';
import type { OpsContext, Visitor } from './page-types';
import { localizedProblem } from './shell';

const MAX_STREAMS = 50;
/** Maximum lifetime of a stream, ms. The browser then reconnects, and its session is checked again. */
const LIFE_MS = 10 * 60_000;
/** Interval of comments, ms: routers cut connections that are idle for 55 s. */
const PING_MS = 15_000;
/** Interval of the check whether the process drains, ms; the stream then ends. */
const LOOK_MS = 250;
/** Interval of the check whether the reader has signed out, in any process, ms. */
const READER_MS = 3000;

export class Streams {
  private open = 0;

  /**
   * @param isLeaving true once the process drains; all streams then end.
   * @param hasLeft true once a reader has signed out; their streams then end.
   */
  constructor(
    private readonly isLeaving: () => boolean,
    private readonly hasLeft: (reader: Visitor) => Promise<boolean>,
  ) {}

  /** Answers with a stream, which releases the request's slot. @throws ProblemError 503 when there are too many. */
  begin(ctx: OpsContext): EventStream {
    if (this.open >= MAX_STREAMS) throw localizedProblem(503, 'busy', { headers: { 'Retry-After': '30' } });
    this.open++;
    ctx.releaseSlot();
    const body = new PassThrough();
    body.once('close', () => this.open--);
    ctx.status = 200;
    // `no-transform`: a compressing proxy would buffer events.
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

/** Server-sent events to one page. Ends when the reader disconnects, the process drains, or after LIFE_MS. */
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
   * @returns false when the event was dropped because the reader is so far behind that it would only be buffered.
   */
  send(event: string, data: unknown = {}): boolean {
    if (this.closed || this.body.writableNeedDrain) return false;
    this.body.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    return true;
  }

  /** Sends an event only when its data differs from the last one of the same name that was not dropped. */
  sendWhenNew(event: string, data: unknown): void {
    const text = JSON.stringify(data);
    if (this.sent.get(event) !== text && this.send(event, data)) this.sent.set(event, text);
  }

  end(): void {
    if (!this.closed) this.body.end();
  }

  /** Calls `work` every `ms` until the stream ends. Calls never overlap, and errors are left to the next call. */
  every(ms: number, work: () => unknown): void {
    let timer: NodeJS.Timeout;
    const run = async () => {
      try {
        await work();
      } catch {
        // A store that is down now may answer the next call.
      }
      if (!this.closed) timer = setTimeout(run, ms);
    };
    timer = setTimeout(run, ms);
    this.body.once('close', () => clearTimeout(timer));
  }
}
