import { type ChildProcess, forkBeside, PREVIEWS_ROLE } from '../../cluster/child-process';
import type { PreviewOrder, PreviewReply } from '../../mailer/preview/preview-order';
import { type Deferred, deferred } from '../../support/deferred';

/** Longest wait for one preview, ms: then its process is taken for stuck. */
const PATIENCE_MS = 20_000;

export type Order = PreviewOrder extends infer O ? (O extends unknown ? Omit<O, 'id'> : never) : never;

/** One process that renders previews. It goes by itself when it is asked nothing for a while, and with its worker. */
export class PreviewChild {
  private readonly child: ChildProcess = forkBeside(PREVIEWS_ROLE);
  private readonly waiting = new Map<number, Deferred<PreviewReply>>();
  private count = 0;
  private gone = false;

  constructor() {
    const { child, waiting } = this;
    child.on('message', ({ id, reply }: { readonly id: number; readonly reply: PreviewReply }) =>
      waiting.get(id)?.resolve(reply),
    );
    const gone = (how: string, idle = false) => {
      this.gone = true;
      for (const { reject } of waiting.values()) reject(new PreviewProcessGone(idle, how));
    };
    child.once('error', (error) => gone(error.message));
    child.once('exit', (code, signal) => gone(signal ?? `code ${code}`, code === 0));
  }

  get usable(): boolean {
    return !this.gone && this.child.connected;
  }

  /** @throws PreviewProcessGone */
  async ask(order: Order): Promise<PreviewReply> {
    const id = ++this.count;
    const answered = deferred<PreviewReply>();
    this.waiting.set(id, answered);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), PATIENCE_MS);
    try {
      this.child.send({ ...order, id }, (error) => {
        if (error) answered.reject(new PreviewProcessGone(true, 'code 0'));
      });
      return await answered.promise;
    } finally {
      clearTimeout(timer);
      this.waiting.delete(id);
    }
  }

  /** It leaves. What it was asked for is not answered. */
  dismiss(): void {
    if (this.usable) this.child.disconnect();
  }
}

/** It ended before it answered. `idle`: for want of work, or because it was dismissed. `how`: by which code or signal. */
export class PreviewProcessGone extends Error {
  override readonly name = 'PreviewProcessGone';

  constructor(
    readonly idle: boolean,
    readonly how: string,
  ) {
    super(`the process that renders previews did not answer: it ended by ${how}`);
  }
}
