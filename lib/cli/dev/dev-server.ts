import { once } from 'node:events';
import path from 'node:path';
import { ask } from '../../cluster/control/client';
import { findCommand, type StatsJson } from '../../cluster/control/commands';
import { RunningTree } from '../../cluster/control/running-tree';
import { asSentence } from '../../core/finding';
import { deferred } from '../../support/deferred';
import { toError } from '../../support/to-error';
import { noEntry } from '../app/app-entry';
import { type AppLayout, readLayout } from '../app/app-layout';
import { runEntryCommand, runShell, startEntry } from '../app/app-process';
import { BuildWrites } from './build-writes';
import { ErrorNote } from './error-note';
import { keepBuild } from './keep-build';
import { Sources } from './sources';

export interface DevOptions {
  readonly folder: string;
  /** The app's build command; undefined if Node runs its sources without a build. */
  readonly build: string | undefined;
  /** The folder that the build writes to, relative to the app's folder. */
  readonly output: string;
  /** Finds the app's entry file in the current folder. */
  readonly findEntry: () => string | undefined;
  /** The half of the tree that is started. Default: all of it. */
  readonly only: string | undefined;
}

/** A failed reload. Its title and message are shown to the developer. */
class Fault extends Error {
  constructor(
    readonly title: string,
    text: string,
  ) {
    super(text);
  }
}

/** `catamount dev`: runs the tree of an app, and reloads it when its sources change. */
export class DevServer {
  private readonly sources: Sources;
  private readonly note: ErrorNote;
  /** As the manifest had it when the first change came, or the first after one of the manifest itself. */
  private layout: AppLayout | undefined;
  private tree: ReturnType<typeof startEntry> | undefined;
  private readonly left = deferred<'left'>();
  private leaving = false;
  private exitCode = 0;
  private readonly buildWrites = new BuildWrites();
  /** Changed files that the running tree does not serve yet. */
  private readonly unserved = new Set<string>();

  constructor(private readonly options: DevOptions) {
    const { folder } = options;
    this.sources = new Sources(folder, [options.output, `${options.output}.next`, `${options.output}.old`]);
    this.note = new ErrorNote(folder);
    this.note.clear();
    // A terminal also sends SIGINT to the tree, which stops by itself. We end when it has.
    process.on('SIGINT', () => this.leave(undefined));
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.leave(signal));
  }

  /** Runs until the tree is stopped from outside. @returns the exit code. */
  async run(): Promise<number> {
    let changed: ReadonlySet<string> = new Set();
    for (;;) {
      const more = await this.follow(changed);
      if (this.leaving) return this.end();
      const next = more.size > 0 ? more : await Promise.race([this.sources.changed(), this.left.promise]);
      if (next === 'left') return this.end();
      changed = next;
      this.buildWrites.forget(changed);
      say(`${list(changed)} changed`);
    }
  }

  /** Builds and reloads. @returns files that changed in the meantime. */
  private async follow(changed: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    for (const file of changed) this.unserved.add(file);
    try {
      const more = await this.build();
      if (more.size > 0 || this.leaving) return more;
      await this.reload();
      this.unserved.clear();
      this.note.clear();
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      const serves = this.tree ? 'the old code keeps serving' : 'nothing is serving';
      // The note comes first, since whoever reads the terminal may look into the browser at once.
      this.note.write(thrown.title, thrown.message);
      process.stdout.write(`${thrown.message.trimEnd()}\n`);
      say(`${thrown.title}: ${serves} until the next save`);
    }
    return new Set();
  }

  private async build(): Promise<ReadonlySet<string>> {
    const { build, folder, output } = this.options;
    if (build === undefined) return new Set();
    const restore = keepBuild(path.join(folder, output), path.join(folder, '.catamount/last-build'));
    const { ok, text } = await runShell(build, folder, (part) => process.stdout.write(part));
    const meanwhile = this.buildWrites.sort(this.sources.scan());
    for (const file of meanwhile.found)
      say(`${file} is written by the build, so what the build writes there does not count as a change`);
    if (!ok) restore();
    if (!ok && meanwhile.changed.size === 0) throw new Fault('The build failed', text);
    return meanwhile.changed;
  }

  private async reload(): Promise<void> {
    if (!this.tree) return this.start();
    this.layout ??= await readLayout(this.options.folder).catch((thrown: unknown) => {
      throw new Fault('The app has a mistake', toError(thrown).message);
    });
    const { layout } = this;
    const touches = (folder: string) => [...this.unserved].some((file) => file.startsWith(`${folder}/`));
    const isOfPrimary = (file: string) =>
      withoutExtension(file) === layout.manifest || /^server\.[cm]?[jt]s$/.test(file);
    const whole = [...this.unserved].some(isOfPrimary);
    const migrates = layout.migrations !== false && touches(layout.migrations);
    if (whole || migrates || touches(layout.jobs)) await this.check();
    if (migrates) await this.migrate();
    if (whole) {
      this.layout = undefined;
      return this.startAgain();
    }
    await this.restart();
  }

  private async start(): Promise<void> {
    const entry = this.options.findEntry();
    if (entry === undefined) throw new Fault('The app has no entry file', noEntry(this.options.folder).message);
    const { only } = this.options;
    const tree = startEntry(entry, only === undefined ? [] : ['--only', only]);
    this.tree = tree;
    const gone = once(tree, 'exit').then(([code, signal]: (number | string | null)[]) => {
      if (this.tree === tree) this.onEnd(Number(code ?? 1));
      return `It ended with ${signal ?? `code ${code}`}. The terminal says why.`;
    });
    const ending = await Promise.race([gone, this.untilReady(tree)]);
    if (ending !== undefined && !this.leaving) throw new Fault('The app cannot start', ending);
  }

  private async untilReady(tree: ReturnType<typeof startEntry>): Promise<undefined> {
    const isOurs = async () => {
      const stats = await this.ask('stats').catch(() => undefined);
      // The tree accepts commands before its first worker is ready.
      return stats?.pid === tree.pid && stats?.booted_workers === stats?.workers;
    };
    while (this.tree === tree && !(await isOurs())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    return undefined;
  }

  private async startAgain(): Promise<void> {
    const { tree } = this;
    if (tree) {
      const gone = once(tree, 'exit');
      this.tree = undefined;
      tree.kill('SIGTERM');
      await gone;
    }
    await this.start();
  }

  /** @throws Fault if the new code has a mistake that a restart would not survive. */
  private async check(): Promise<void> {
    const { ok, text } = await runEntryCommand(this.options.findEntry() ?? '', ['check', '--json']);
    if (ok) return;
    const findings = findingsIn(text);
    if (findings?.length === 0) return;
    throw new Fault('The app has a mistake', findings?.join('\n') ?? text);
  }

  private async migrate(): Promise<void> {
    const { ok, text } = await runEntryCommand(this.options.findEntry() ?? '', ['db', 'migrate']);
    process.stdout.write(text);
    if (!ok) throw new Fault('A migration failed', text);
  }

  private async restart(): Promise<void> {
    try {
      const { pid, worker_status: workers, job_processor: jobs } = (await this.ask('stats')) as unknown as StatsJson;
      // A part of the primary's process is replaced with it.
      if ([...workers, jobs].some((part) => part.pid === pid)) return await this.startAgain();
      await this.ask('phased-restart');
    } catch (thrown) {
      if (thrown instanceof Fault) throw thrown;
      if (this.tree) throw new Fault('The new code does not boot', toError(thrown).message);
    }
  }

  private async ask(name: string): Promise<Record<string, unknown>> {
    return ask(RunningTree.find({ only: this.options.only }).address, findCommand(name));
  }

  private leave(signal: NodeJS.Signals | undefined): void {
    this.leaving = true;
    if (signal) this.tree?.kill(signal);
    this.left.resolve('left');
  }

  /** If the tree was stopped, we end as well. If it has died, it is started again at the next save. */
  private onEnd(code: number): void {
    this.tree = undefined;
    this.exitCode = code;
    if (code === 0) this.leave(undefined);
    else if (!this.leaving) say(`The app has ended with code ${code}: it is started again at the next save`);
  }

  private async end(): Promise<number> {
    this.sources.close();
    if (this.tree) await once(this.tree, 'exit');
    return this.exitCode;
  }
}

/** Interval of the checks whether a tree is ready, ms. */
const POLL_MS = 100;

/** @returns the findings of `check --json` except pending migrations; undefined if the check itself has failed. */
function findingsIn(text: string): string[] | undefined {
  try {
    const { findings } = JSON.parse(text) as { readonly findings: readonly Readonly<Record<string, string>>[] };
    const mistakes = findings.filter(({ id }) => id !== 'pending_migration');
    return mistakes.map(({ finding = '', what_to_do = '' }) => asSentence({ text: finding, remedy: what_to_do }));
  } catch {
    return undefined;
  }
}

function withoutExtension(file: string): string {
  return file.replace(/\.[cm]?[jt]s$/, '');
}

function say(text: string): void {
  process.stdout.write(`* ${text}\n`);
}

function list(files: ReadonlySet<string>): string {
  const [first = '', ...more] = files;
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}
