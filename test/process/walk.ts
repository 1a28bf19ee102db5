import fs from 'node:fs';
import path from 'node:path';
import type { Tree } from '../support/tree';
import { until } from '../support/until';

type Role = 'primary' | 'web' | 'jobs';

interface Report {
  readonly title: string;
  /** By `file function@offset`. */
  readonly calls: Readonly<Record<string, number>>;
}

/** The calls of each role in a phase. */
export type Calls = ReadonlyMap<Role, Readonly<Record<string, number>>>;

/** Number of repetitions. A function is part of the walk if it runs in ON_THE_WAY more of them than of the rests. */
const REPETITIONS = 12;
const ON_THE_WAY = 9;

/**
 * Not counted: the code behind every log line, code that is not part of what the product does (the app, helpers that only
 * know Node, embedded servers), and index files.
 */
const NOT_COUNTED = [
  /^lib\/(app|support|internals|embedded)\//,
  /(^|\/)index\.ts$/,
  /^lib\/core\/(events|event-catalog|logging|execution-context)\.ts$/,
  /^lib\/ops\/search\/log-keeper\.ts$/,
];

/** Finds our files that an action enters, by counting the calls of functions in every process of a tree. */
export class WalkRecorder {
  private phases = 0;

  /** @param folder for the reports of the processes. */
  constructor(private readonly folder: string) {
    fs.mkdirSync(folder, { recursive: true });
  }

  /** The environment that a tree must be started with. */
  get env(): Record<string, string> {
    return {
      NODE_OPTIONS: `--require ${path.join(__dirname, 'walk-recorder.cjs')}`,
      WALK_FOLDER: this.folder,
      WEB_CONCURRENCY: '1',
    };
  }

  /**
   * @returns the files that `once` enters. It is run several times, each time followed by a rest of the same length. A function
   * is part of the walk if it runs in most of the repetitions and not in the rests. The number of calls within one of them
   * does not matter, since there are loops, and a heartbeat may fall into it.
   */
  async walk(tree: Tree, role: Role, once: (n: number) => Promise<unknown>): Promise<string[]> {
    const surplus = new Map<string, number>();
    const count = (phase: string, by: number) => {
      for (const name of Object.keys(this.read(phase).get(role) ?? {}))
        surplus.set(name, (surplus.get(name) ?? 0) + by);
    };
    for (let n = 0; n < REPETITIONS; n++) {
      const acting = await this.begin(tree);
      const since = performance.now();
      await once(n);
      const tookMs = performance.now() - since;
      const idle = await this.begin(tree);
      const end = performance.now() + tookMs;
      await until('it has been idle for as long', () => performance.now() >= end);
      await this.begin(tree);
      count(acting, 1);
      count(idle, -1);
    }
    return filesOf([...surplus].flatMap(([name, repetitions]) => (repetitions >= ON_THE_WAY ? [name] : [])));
  }

  /** Begins a phase in every process. @returns its name. */
  private async begin(tree: Tree): Promise<string> {
    const phase = `p${++this.phases}`;
    const draft = path.join(this.folder, 'draft');
    fs.writeFileSync(draft, phase);
    fs.renameSync(draft, path.join(this.folder, 'phase'));
    const { primary, web, jobs } = tree.processes();
    const pids = [primary, web.get(0), jobs];
    await until('every process has begun the phase', () =>
      pids.every((pid) => fs.existsSync(path.join(this.folder, `${pid}.${phase}.begun`))),
    );
    return phase;
  }

  private read(phase: string): Calls {
    return new Map(this.reports(phase).map(({ role, report }) => [role, report.calls]));
  }

  private reports(phase: string): { readonly role: Role; readonly report: Report }[] {
    return fs
      .readdirSync(this.folder)
      .filter((name) => name.endsWith(`.${phase}.json`))
      .flatMap((name) => {
        const report = JSON.parse(fs.readFileSync(path.join(this.folder, name), 'utf8')) as Report;
        const role = /^catamount: (primary|web|jobs)/.exec(report.title)?.[1] as Role | undefined;
        return role === undefined ? [] : [{ role, report }];
      });
  }
}

/** The files of these functions, without those that are not counted. */
function filesOf(functions: readonly string[]): string[] {
  const files = new Set(functions.map((name) => name.slice(0, name.indexOf(' '))));
  return [...files].filter((file) => !NOT_COUNTED.some((pattern) => pattern.test(file))).sort();
}
