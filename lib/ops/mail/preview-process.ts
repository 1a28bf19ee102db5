import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type ChildProcess, forkBeside, PREVIEWS_ROLE } from '../../cluster/child-process';
import type { PreviewName, PreviewRequest, PreviewResponse } from '../../mailer/preview/preview-registry';
import { type Deferred, deferred } from '../../support/async';
import { localizedProblem } from '../ui/shell';

/** Longest wait for one preview, ms: then its process is taken for stuck. */
const PATIENCE_MS = 20_000;

type Order = PreviewRequest extends infer O ? (O extends unknown ? Omit<O, 'id'> : never) : never;

/** One process that renders previews. It goes by itself when it is asked nothing for a while, and with its worker. */
class PreviewProcess {
  private readonly child: ChildProcess = forkBeside(PREVIEWS_ROLE);
  private readonly waiting = new Map<number, Deferred<PreviewResponse>>();
  private count = 0;
  private gone = false;

  constructor() {
    const { child, waiting } = this;
    child.on('message', ({ id, reply }: { readonly id: number; readonly reply: PreviewResponse }) =>
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
  async ask(order: Order): Promise<PreviewResponse> {
    const id = ++this.count;
    const answered = deferred<PreviewResponse>();
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
  stop(): void {
    if (this.usable) this.child.disconnect();
  }
}

/** It ended before it answered. `idle`: for want of work, or because it was dismissed. `how`: by which code or signal. */
class PreviewProcessGone extends Error {
  override readonly name = 'PreviewProcessGone';

  constructor(
    readonly idle: boolean,
    readonly how: string,
  ) {
    super(`the process that renders previews did not answer: it ended by ${how}`);
  }
}

interface PreviewSourceOptions {
  /** What previews are made of. */
  readonly folders: readonly string[];
  /** Do files change while we run? */
  readonly changing: boolean;
}

/** Where previews come from: a process that is started when one is asked for, and anew when its code has changed. */
export class PreviewSource {
  private child: PreviewProcess | undefined;
  private code = '';

  constructor(private readonly options: PreviewSourceOptions) {}

  /** Another one whenever a file has changed that previews are made of. */
  async version(): Promise<string> {
    return (await folderVersion(this.options.folders)).all;
  }

  async names(): Promise<PreviewResponse> {
    return this.ask({ ask: 'names' });
  }

  /** @param locale null: the mail's own. */
  async mail(name: PreviewName, locale: string | null): Promise<PreviewResponse> {
    return this.ask({ ask: 'mail', locale, ...name });
  }

  /** Really sends it, to this address only. @param prefix before its subject. */
  async send(name: PreviewName, locale: string | null, to: string, prefix: string): Promise<PreviewResponse> {
    return this.ask({ ask: 'send', locale, to, prefix, ...name });
  }

  /** @throws ProblemError 502 when the process crashes, or stays silent. */
  private async ask(order: Order): Promise<PreviewResponse> {
    if (this.options.changing) await this.renewChild();
    // It may go, for want of work, just as the order is on its way.
    const again = (error: unknown) => {
      if (error instanceof PreviewProcessGone && error.idle) return this.running().ask(order);
      throw error;
    };
    return this.running()
      .ask(order)
      .catch(again)
      .catch((error: unknown) => {
        if (error instanceof PreviewProcessGone)
          throw localizedProblem(502, 'previewsGone', { values: { how: error.how } });
        throw error;
      });
  }

  private async renewChild(): Promise<void> {
    const { code } = await folderVersion(this.options.folders);
    if (code === this.code) return;
    this.code = code;
    this.child?.stop();
    this.child = undefined;
  }

  private running(): PreviewProcess {
    if (!this.child?.usable) this.child = new PreviewProcess();
    return this.child;
  }
}

const CODE = /\.[cm]?[jt]s$/;

interface FolderVersion {
  /** Another one whenever a file has changed, been added or removed. */
  readonly all: string;
  /** The same for JavaScript and TypeScript only: what a process does not read anew by itself. */
  readonly code: string;
}

/** Tells whether files below some folders have changed. A folder that is missing holds none. */
export async function folderVersion(folders: readonly string[]): Promise<FolderVersion> {
  const lines = (await Promise.all(folders.map(linesOf))).flat();
  return { all: digest(lines), code: digest(lines.filter(({ name }) => CODE.test(name))) };
}

interface FileLine {
  readonly name: string;
  readonly line: string;
}

async function linesOf(folder: string): Promise<FileLine[]> {
  const names = await fs.readdir(folder, { recursive: true }).catch(whenGone<string[]>([]));
  const lines = names.sort().map(async (name) => {
    // It may go while we look: a build replaces whole folders.
    const stat = await fs.stat(path.join(folder, name)).catch(whenGone(undefined));
    return stat?.isFile() ? [{ name, line: `${name}\0${stat.mtimeMs}\0${stat.size}\n` }] : [];
  });
  return (await Promise.all(lines)).flat();
}

function digest(lines: readonly FileLine[]): string {
  const hash = createHash('sha256');
  for (const { line } of lines) hash.update(line);
  return hash.digest('base64url').slice(0, 22);
}

function whenGone<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
}
