import { request } from '../../support/http';
import { serverPort } from '../../support/server-port';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { spawnTree, type Tree } from '../../support/tree';
import { until } from '../../support/until';

const READY_MS = 120_000;

/** Keeps one tree running at one address, as a platform does: when its primary exits, another tree is started. */
export class Platform {
  /** Number of trees started so far. */
  starts = 0;
  /** Trees that exited although no fault killed their primary, with their last log lines. There should be none. */
  readonly gaveUp: string[] = [];
  private running: Tree | undefined;
  private stopping = false;
  private work: Promise<void> = Promise.resolve();
  private readonly folder = tempFolder('platform');
  private trouble: Error | undefined;

  private constructor(
    private readonly options: { readonly entry: string; readonly env: Readonly<Record<string, string>> },
    private readonly port: number,
  ) {}

  static async start(options: Platform['options']): Promise<Platform> {
    const platform = new Platform(options, await serverPort());
    platform.launch();
    await platform.ready();
    return platform;
  }

  get entry(): string {
    return this.options.entry;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The running tree, or the last one. */
  get tree(): Tree {
    if (!this.running) throw new Error('nothing was started yet');
    return this.running;
  }

  /** Resolves when the tree is ready. */
  async ready(): Promise<void> {
    const serves = async () => {
      if (this.trouble) throw this.trouble;
      return (await request(`${this.baseUrl}/ready`, { timeoutMs: 5000 })).status === 200;
    };
    await until('the tree is ready', serves, { timeoutMs: READY_MS, everyMs: 100 });
  }

  /** Stops the tree with SIGTERM and starts no new one. @returns its exit code. */
  async stop(): Promise<number | null> {
    this.stopping = true;
    await this.work;
    const { code } = await this.tree.stop();
    await this.tree.allGone();
    return code;
  }

  async cleanup(): Promise<void> {
    this.stopping = true;
    await this.running?.cleanup();
    await this.work;
    removeFolder(this.folder);
  }

  private launch(): void {
    const { entry, env } = this.options;
    const tree = spawnTree({ entry, env: { ...env, PORT: String(this.port) }, cwd: this.folder });
    this.starts++;
    this.running = tree;
    void tree.exited.then(({ code, signal }) => {
      if (this.stopping) return;
      if (signal !== 'SIGKILL') this.gaveUp.push(`a tree ended with code ${code}: ${exitMessage(tree)}`);
      this.work = this.again(tree).catch((error: Error) => {
        this.trouble = error;
      });
    });
  }

  private async again(dead: Tree): Promise<void> {
    await dead.allGone();
    if (!this.stopping) this.launch();
  }
}

function exitMessage({ lines }: Tree): string {
  return lines
    .map(({ text }) => text)
    .filter((text) => text.includes('"process":"primary"'))
    .slice(-2)
    .join(' / ');
}
