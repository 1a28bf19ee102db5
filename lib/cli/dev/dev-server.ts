import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { ask } from '../../cluster/control/client';
import { COMMANDS } from '../../cluster/control/commands';
import { RunningTree } from '../../cluster/control/running-tree';
import { environment } from '../../core/config';
import { deferred, toError } from '../../support/async';
import type { AppLayout } from '../generate/app-layout';
import { runEntryCommand, runShell, startEntry } from '../generate/child-process';
import { ErrorNote } from './error-note';
import { Sources } from './sources';

export interface DevOptions {
  readonly layout: AppLayout;
  /** The app's build command; undefined for one whose sources Node runs as they are. */
  readonly build: string | undefined;
  /** Folder that the build writes, relative to the app's. */
  readonly output: string;
  /** Finds the app's entry file in the current folder. */
  readonly findEntry: () => string | undefined;
  /** Arguments of the tree. */
  readonly args: readonly string[];
}

/** A reload that failed, with what a developer needs to read. */
class Fault extends Error {
  constructor(
    readonly title: string,
    text: string,
  ) {
    super(text);
  }
}

/** `catamount dev`: the tree of an app, which follows its sources. */
export class DevServer {
  private readonly sources: Sources;
  private readonly note: ErrorNote;
  private tree: ReturnType<typeof startEntry> | undefined;
  private readonly left = deferred<'left'>();
  private leaving = false;
  private exitCode = 0;
  /** Files that changed during the last build, and those that did so in two builds in a row: the build writes them. */
  private suspects: ReadonlySet<string> = new Set();
  private readonly written = new Set<string>();
  /** Changes that no code serves yet. */
  private readonly due = new Set<string>();

  constructor(private readonly options: DevOptions) {
    const { folder } = options.layout;
    this.sources = new Sources(folder, [options.output, `${options.output}.next`, `${options.output}.old`]);
    this.note = new ErrorNote(folder);
    this.note.clear();
    // A terminal sends its signals to the tree as well, which leads its own stop; we end with it.
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
      for (const file of changed) this.written.delete(file);
      say(`${list(changed)} changed`);
    }
  }

  /** Builds and reloads. @returns files that have changed meanwhile. */
  private async follow(changed: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    for (const file of changed) this.due.add(file);
    try {
      const more = await this.build(changed);
      if (more.size > 0 || this.leaving) return more;
      await this.reload();
      this.due.clear();
      this.note.clear();
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown;
      const serves = this.tree ? 'the old code goes on serving' : 'nothing serves';
      // Whoever reads of it may look into the browser at once.
      this.note.write(thrown.title, thrown.message);
      process.stdout.write(`${thrown.message.trimEnd()}\n`);
      say(`${thrown.title}: ${serves} until the next save`);
    }
    return new Set();
  }

  private async build(changed: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const { build, layout, output } = this.options;
    if (build === undefined) return new Set();
    const restore = keep(path.join(layout.folder, output), path.join(layout.folder, '.catamount/last-build'));
    const { ok, text } = await runShell(build, layout.folder, (part) => void process.stdout.write(part));
    const meanwhile = new Set([...this.sources.scan()].filter((file) => !this.written.has(file)));
    for (const file of meanwhile) {
      if (!this.suspects.has(file) || !changed.has(file)) continue;
      meanwhile.delete(file);
      this.written.add(file);
      say(`${file} is written by the build: what it writes there is no change`);
    }
    this.suspects = meanwhile;
    if (!ok) restore();
    if (!ok && meanwhile.size === 0) throw new Fault('The build failed', text);
    return meanwhile;
  }

  private async reload(): Promise<void> {
    const { layout } = this.options;
    if (!this.tree) return this.start();
    const touches = (folder: string) => [...this.due].some((file) => file.startsWith(`${folder}/`));
    const isOfPrimary = (file: string) =>
      withoutExtension(file) === layout.manifest || /^server\.[cm]?[jt]s$/.test(file);
    const whole = [...this.due].some(isOfPrimary);
    const migrates = layout.migrations !== false && touches(layout.migrations);
    if (whole || migrates || touches(layout.jobs)) await this.check();
    if (migrates) await this.migrate();
    if (whole) return this.startAnew();
    await this.order(touches(layout.jobs) ? 'restart' : 'phased-restart');
  }

  private async start(): Promise<void> {
    const entry = this.options.findEntry();
    if (entry === undefined)
      throw new Fault('The app has no entry file', 'There is no server.js, and no dist/server.js.');
    const tree = startEntry(entry, this.options.args);
    this.tree = tree;
    const gone = once(tree, 'exit').then(([code, signal]: (number | string | null)[]) => {
      if (this.tree === tree) this.onEnd(Number(code ?? 1));
      return `It ended by ${signal ?? `code ${code}`}; the terminal says why.`;
    });
    const said = await Promise.race([gone, this.serves(tree)]);
    if (said !== undefined && !this.leaving) throw new Fault('The app cannot start', said);
  }

  /** Resolves once all workers of this tree are ready. */
  private async serves(tree: ReturnType<typeof startEntry>): Promise<undefined> {
    const isOurs = async () => {
      const stats = await this.ask('stats').catch(() => undefined);
      // Commands are taken before the first worker is ready.
      return stats?.pid === tree.pid && stats?.booted_workers === stats?.workers;
    };
    while (this.tree === tree && !(await isOurs())) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    return undefined;
  }

  private async startAnew(): Promise<void> {
    const { tree } = this;
    if (tree) {
      const gone = once(tree, 'exit');
      this.tree = undefined;
      tree.kill('SIGTERM');
      await gone;
    }
    await this.start();
  }

  /** @throws Fault when the new code has a mistake that a restart would not survive. */
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

  private async order(name: 'restart' | 'phased-restart'): Promise<void> {
    try {
      const { single } = await this.ask('stats');
      // Then the primary has the app's code itself.
      if (single !== undefined && single !== null) return await this.startAnew();
      await this.ask(name);
    } catch (thrown) {
      if (thrown instanceof Fault) throw thrown;
      if (this.tree) throw new Fault('The new code does not boot', toError(thrown).message);
    }
  }

  private async ask(name: string): Promise<Record<string, unknown>> {
    const command = COMMANDS.find((one) => one.name === name);
    if (!command) throw new Error(`there is no command ${name}`);
    const [, half] = /^--only[= ](web|jobs)$/.exec(this.options.args.join(' ')) ?? [];
    const state = half && environment().STATE_FILE === undefined ? `.catamount/state-${half}.json` : undefined;
    return ask(RunningTree.find({ state }).address, command);
  }

  private leave(signal: NodeJS.Signals | undefined): void {
    this.leaving = true;
    if (signal) this.tree?.kill(signal);
    this.left.resolve('left');
  }

  /** A tree that somebody has stopped ends us as well; one that died is started again with the next save. */
  private onEnd(code: number): void {
    this.tree = undefined;
    this.exitCode = code;
    if (code === 0) this.leave(undefined);
    else if (!this.leaving) say(`The app has ended with code ${code}: it starts again with the next save`);
  }

  private async end(): Promise<number> {
    this.sources.close();
    if (this.tree) await once(this.tree, 'exit');
    return this.exitCode;
  }
}

/** Interval at which a tree is asked whether it serves, ms. */
const POLL_MS = 100;

/** The findings of `check --json`, without pending migrations; undefined when it has not come that far. */
function findingsIn(text: string): string[] | undefined {
  try {
    const { findings } = JSON.parse(text) as { readonly findings: readonly string[] };
    return findings.filter((finding) => !/^The migration .* has not run/.test(finding));
  } catch {
    return undefined;
  }
}

/** Keeps a copy of what is built, since many builds begin by removing it. @returns puts it back. */
function keep(output: string, copy: string): () => void {
  fs.rmSync(copy, { recursive: true, force: true });
  if (!fs.existsSync(output)) return () => undefined;
  fs.mkdirSync(path.dirname(copy), { recursive: true });
  fs.cpSync(output, copy, { recursive: true, preserveTimestamps: true });
  return () => {
    fs.rmSync(output, { recursive: true, force: true });
    fs.cpSync(copy, output, { recursive: true, preserveTimestamps: true });
  };
}

function withoutExtension(file: string): string {
  return file.replace(/\.[cm]?[jt]s$/, '');
}

function list(files: ReadonlySet<string>): string {
  const [first = '', ...more] = files;
  return more.length === 0 ? first : `${first} and ${more.length} more`;
}

function say(text: string): void {
  process.stdout.write(`* ${text}\n`);
}
