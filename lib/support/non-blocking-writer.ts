import fs from 'node:fs';

/** Maximum size of the buffer while nobody reads, bytes; the characters of the next text count as such. */
const MAX_UNREAD = 1_000_000;
/** Interval of attempts to write meanwhile, ms. */
const WRITE_RETRY_MS = 100;

/**
 * Writes to a pipe or a terminal at once, so that a crash loses nothing, but never blocks. Text that cannot be written yet is
 * buffered and written later. What exceeds the buffer is dropped and counted.
 */
export class NonBlockingWriter {
  /** Called with the number of dropped texts once writing works again. */
  onDropped: (count: number) => void = () => undefined;
  private readonly fd: number;
  private kept: Buffer[] = [];
  private size = 0;
  private dropped = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(inherited: number) {
    if (readStat(inherited).isFile()) {
      this.fd = inherited;
      return;
    }
    this.fd = reopenNonBlocking(inherited);
    // A last attempt writes the lines of the stop.
    process.once('exit', () => this.flush());
  }

  write(text: string): void {
    if (this.size + text.length > MAX_UNREAD) {
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
        // The reader is gone for good, so nothing can be written any more.
        this.kept = [];
        this.size = 0;
        return;
      }
      this.timer = setTimeout(() => this.flush(), WRITE_RETRY_MS);
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
 * Opens the same pipe or terminal again as non-blocking, since the descriptor itself is shared with other processes,
 * for which it must stay blocking. If that fails the descriptor is used as it is; mostly Node has made it non-blocking
 * anyway.
 */
function reopenNonBlocking(fd: number): number {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return fd;
  }
}

/**
 * Asks for bigints. With numbers Node keeps what it last read, and after a pipe its `realpathSync` resolves no symbolic link
 * until it reads another file's stat. It would then not find a linked package, as pnpm makes them.
 */
export function readStat(fd: number): fs.BigIntStats {
  return fs.fstatSync(fd, { bigint: true });
}
