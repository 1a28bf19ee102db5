import fs from 'node:fs';

/** What is kept while nobody reads, characters. */
const KEPT = 1_000_000;
/** How often it is tried again meanwhile, ms. */
const RETRY_MS = 100;

/**
 * Writes to a pipe or a terminal at once, so that a crash loses nothing, but never waits: what cannot be written is kept up
 * to a bound and goes out when it flows again, and what is beyond the bound is dropped and counted.
 */
export class NonBlockingWriter {
  /** Told, once it flows again, how many texts were dropped. */
  onDropped: (count: number) => void = () => undefined;
  private readonly fd: number;
  private kept: Buffer[] = [];
  private size = 0;
  private dropped = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(fd: number) {
    this.fd = reopenNonBlocking(fd);
    // One last try: what a stop has said.
    process.once('exit', () => this.flush());
  }

  write(text: string): void {
    if (this.size + text.length > KEPT) {
      this.dropped++;
      return;
    }
    const bytes = Buffer.from(text);
    this.kept.push(bytes);
    this.size += bytes.length;
    if (this.timer === undefined) this.flush();
  }

  private flush(): void {
    this.timer = undefined;
    try {
      for (;;) {
        const [first] = this.kept;
        if (first === undefined) break;
        const written = fs.writeSync(this.fd, first);
        this.size -= written;
        if (written === first.length) this.kept.shift();
        else this.kept[0] = first.subarray(written);
      }
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code !== 'EAGAIN') {
        // Whoever read it is gone for good: nothing is left to be written to.
        this.kept = [];
        this.size = 0;
        return;
      }
      this.timer = setTimeout(() => this.flush(), RETRY_MS);
      this.timer.unref();
      return;
    }
    if (this.dropped === 0) return;
    const { dropped } = this;
    this.dropped = 0;
    this.onDropped(dropped);
  }
}

/**
 * The same pipe or terminal, opened anew: the descriptor itself is shared with others, for whom it should go on to wait.
 * Where that is not possible it stays as it is; Node has mostly set it not to wait, too, when it looked at process.stdout.
 */
function reopenNonBlocking(fd: number): number {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return fd;
  }
}
