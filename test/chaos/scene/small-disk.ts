import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

const PART = 2 ** 20;
const LAST_PART = 512;

/** A disk in memory, to be filled. It is there for those alone who come by `entrance`, and goes with the last of them. */
export class SmallDisk {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly folder: string,
  ) {}

  /** @param folder where it is, for those who see it. */
  static async mount(folder: string, mb: number): Promise<SmallDisk> {
    // It ends with its input: whoever dies leaves no disk behind.
    const script = `mount -t tmpfs -o size=${mb}m,mode=700 none "$0" && echo here && exec cat`;
    const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', script, folder];
    const holder = spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [said] = (await Promise.race([once(holder.stdout, 'data'), once(holder, 'close')])) as unknown[];
    if (!Buffer.isBuffer(said)) {
      throw new Error('this machine forbids user namespaces, or a disk in one: the chaos run cannot fill its own');
    }
    return new SmallDisk(holder, folder);
  }

  /** Put before a command: it sees the disk, and is not root, which Postgres refuses to be. */
  get entrance(): readonly string[] {
    const pid = String(this.holder.pid);
    return ['nsenter', '--target', pid, '--user', '--mount', '--preserve-credentials', '--', 'unshare', '--user'];
  }

  /** Leaves no byte to anybody. */
  fill(): void {
    const file = fs.openSync(this.ballast, 'a');
    try {
      for (const bytes of [PART, LAST_PART]) while (this.append(file, bytes));
    } finally {
      fs.closeSync(file);
    }
  }

  free(): void {
    fs.rmSync(this.ballast, { force: true });
  }

  async unmount(): Promise<void> {
    if (this.holder.exitCode !== null || this.holder.signalCode !== null) return;
    const ended = once(this.holder, 'exit');
    this.holder.stdin?.end();
    await ended;
  }

  private get ballast(): string {
    return path.join(`/proc/${this.holder.pid}/root`, this.folder, 'ballast');
  }

  private append(file: number, bytes: number): boolean {
    try {
      return fs.writeSync(file, Buffer.alloc(bytes)) > 0;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
      throw error;
    }
  }
}
