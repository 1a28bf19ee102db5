import { type ChildProcess, forkBeside, PREVIEWS_ROLE } from '../../cluster/child-process';
import type { PreviewOrder, PreviewReply } from '../../mailer/preview/preview-order';
import { type Deferred, deferred } from '../../support/deferred';

/** Longest wait for one preview, ms: then its process is taken for stuck. */
const PATIENCE_MS = 20_000;

type Order = PreviewOrder extends infer O ? (O extends unknown ? Omit<O, 'id'> : never) : never;

/** The process that renders previews, as a web worker sees it: started when one is asked for, and again after its end. */
export class PreviewChild {
  private child: ChildProcess | undefined;
  private count = 0;
  private readonly waiting = new Map<number, Deferred<PreviewReply>>();

  /** @throws Error when the process ends, or stays silent. */
  async ask(order: Order): Promise<PreviewReply> {
    try {
      return await this.send(order);
    } catch (error) {
      // It may have gone for want of work just as the order was on its way.
      if (error instanceof Gone && error.idle) return this.send(order);
      throw error;
    }
  }

  private async send(order: Order): Promise<PreviewReply> {
    const child = this.running();
    const id = ++this.count;
    const answered = deferred<PreviewReply>();
    this.waiting.set(id, answered);
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    try {
      child.send({ ...order, id }, (error) => {
        if (error) answered.reject(new Gone(true, 'it had just ended'));
      });
      return await answered.promise;
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }

  private running(): ChildProcess {
    if (this.child) return this.child;
    const child = forkBeside(PREVIEWS_ROLE);
    this.child = child;
    child.on('message', ({ id, reply }: { readonly id: number; readonly reply: PreviewReply }) =>
      this.waiting.get(id)?.resolve(reply),
    );
    const gone = (reason: string, idle = false) => {
      if (this.child === child) this.child = undefined;
      for (const { reject } of this.waiting.values()) reject(new Gone(idle, reason));
    };
    child.once('error', (error) => gone(error.message));
    child.once('exit', (code, signal) => gone(`it ended by ${signal ?? `code ${code}`}`, code === 0));
    return child;
  }
}

/** It ended before it answered. */
class Gone extends Error {
  override readonly name = 'PreviewProcessGone';

  constructor(
    readonly idle: boolean,
    reason: string,
  ) {
    super(`the process that renders previews did not answer: ${reason}`);
  }
}
