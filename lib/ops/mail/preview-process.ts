import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type ChildProcess, forkBeside } from '../../cluster/child-process';
import { PREVIEWS_ROLE } from '../../cluster/child-roles';
import type { PreviewName, PreviewRequest, PreviewResponse } from '../../mailer/preview/preview-registry';
import { RequestReply } from '../../support/request-reply';
import { localizedProblem } from '../ui/shell';

/** Maximum wait for one preview, ms; its process is then killed as unresponsive. */
const PATIENCE_MS = 20_000;

type NewRequest = PreviewRequest extends infer O ? (O extends unknown ? Omit<O, 'id'> : never) : never;

/** A process that renders previews. It exits after it has been idle for a while, and with its worker. */
class PreviewProcess {
  private readonly child: ChildProcess = forkBeside(PREVIEWS_ROLE);
  private readonly requests: RequestReply<NewRequest, PreviewResponse>;
  private gone = false;

  constructor() {
    const { child } = this;
    this.requests = new RequestReply((id, request) =>
      child.send({ ...request, id }, (error) => {
        if (error) this.requests.settle(id, new PreviewProcessGone(true, 'code 0'));
      }),
    );
    child.on('message', ({ id, reply }: { readonly id: number; readonly reply: PreviewResponse }) =>
      this.requests.settle(id, reply),
    );
    const gone = (how: string, idle = false) => {
      this.gone = true;
      this.requests.failAll(() => new PreviewProcessGone(idle, how));
    };
    child.once('error', (error) => gone(error.message));
    child.once('exit', (code, signal) => gone(signal ?? `code ${code}`, code === 0));
  }

  get usable(): boolean {
    return !this.gone && this.child.connected;
  }

  /** @throws PreviewProcessGone when the process ends before its answer, or does not answer in time and is killed. */
  ask(request: NewRequest): Promise<PreviewResponse> {
    return this.requests.ask(request, { ms: PATIENCE_MS, onLate: () => this.killUnresponsive() });
  }

  private killUnresponsive(): PreviewProcessGone {
    this.gone = true;
    this.child.kill('SIGKILL');
    return new PreviewProcessGone(false, 'SIGKILL');
  }

  /** Makes the process exit. Pending requests fail. */
  stop(): void {
    if (this.usable) this.child.disconnect();
  }
}

/** The process ended before its answer. `idle`: it exited as idle or was stopped. `how`: its exit code or signal. */
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
  readonly folders: readonly string[];
  /** True when files may change while the process runs, that is, outside production. */
  readonly changing: boolean;
}

/** Renders previews in a process that is started on demand, and replaced when its code has changed. */
export class PreviewSource {
  private child: PreviewProcess | undefined;
  private code = '';

  constructor(private readonly options: PreviewSourceOptions) {}

  /** A fingerprint of all files of previews. */
  async version(): Promise<string> {
    return (await folderVersion(this.options.folders)).all;
  }

  async names(): Promise<PreviewResponse> {
    return this.ask({ ask: 'names' });
  }

  /** @param locale null for the mail's own. */
  async mail(name: PreviewName, locale: string | null): Promise<PreviewResponse> {
    return this.ask({ ask: 'mail', locale, ...name });
  }

  /** @throws ProblemError 502 when the process crashes or does not answer in time. */
  private async ask(request: NewRequest): Promise<PreviewResponse> {
    if (this.options.changing) await this.renewChild();
    // An idle process may exit just when the request is sent, so it is repeated once.
    const again = (error: unknown) => {
      if (error instanceof PreviewProcessGone && error.idle) return this.running().ask(request);
      throw error;
    };
    return this.running()
      .ask(request)
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
  /** Changes when any file is changed, added or removed. */
  readonly all: string;
  /** Changes with JavaScript and TypeScript files only, which a running process does not reload. */
  readonly code: string;
}

/** Fingerprints of the files below some folders. A missing folder counts as empty. */
export async function folderVersion(folders: readonly string[]): Promise<FolderVersion> {
  const lines = (await Promise.all(folders.map(listFiles))).flat();
  return { all: digest(lines), code: digest(lines.filter(({ name }) => CODE.test(name))) };
}

interface FileLine {
  readonly name: string;
  readonly line: string;
}

async function listFiles(folder: string): Promise<FileLine[]> {
  const names = await fs.readdir(folder, { recursive: true }).catch(whenGone<string[]>([]));
  const lines = names.sort().map(async (name) => {
    // The file may be removed meanwhile: a build replaces whole folders.
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
