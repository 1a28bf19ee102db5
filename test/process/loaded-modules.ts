import fs from 'node:fs';
import path from 'node:path';
import type { Tree } from '../support/tree';

const ROOT = path.resolve(__dirname, '../..');

interface CoverageReport {
  readonly result: readonly { readonly url: string }[];
}

/**
 * The modules that each process of a tree has loaded, according to Node itself: with NODE_V8_COVERAGE every process writes
 * a list of its scripts, CommonJS and ES modules alike, when it ends.
 */
export class LoadedModules {
  private readonly byPid = new Map<number, Set<string>>();

  /** @param folder NODE_V8_COVERAGE of a tree that has ended. */
  constructor(folder: string) {
    for (const name of fs.readdirSync(folder)) {
      const pid = Number(/^coverage-(\d+)-/.exec(name)?.[1]);
      const { result } = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8')) as CoverageReport;
      const known = this.byPid.get(pid) ?? new Set();
      for (const { url } of result) known.add(nameOf(url));
      this.byPid.set(pid, known);
    }
  }

  /** Names of packages, and our own folders such as `lib/embedded`. Empty if the process has written nothing. */
  of(pid: number | undefined): ReadonlySet<string> {
    return this.byPid.get(pid ?? 0) ?? new Set();
  }

  get pids(): number[] {
    return [...this.byPid.keys()];
  }
}

/** Pids of a running tree, by role. */
export function rolesOf(tree: Tree): Readonly<Record<'primary' | 'web' | 'jobs', number | undefined>> {
  const { primary, web, jobs } = tree.processes();
  return { primary, web: web.get(0), jobs };
}

function nameOf(url: string): string {
  const inPackage = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
  if (inPackage !== undefined) return inPackage;
  const ours = url.startsWith('file:') ? path.relative(path.join(ROOT, 'dist'), new URL(url).pathname) : url;
  return path.dirname(ours);
}
