import fs from 'node:fs';
import path from 'node:path';
import type { Tree } from '../support/tree';

const ROOT = path.resolve(__dirname, '../..');

interface CoverageReport {
  readonly result: readonly { readonly url: string }[];
}

/**
 * What each process of a tree has loaded, told by Node itself: with NODE_V8_COVERAGE every process writes down at its
 * end which scripts it had, CommonJS and ES modules alike.
 */
export class LoadedModules {
  private readonly byPid = new Map<number, Set<string>>();

  /** @param folder the tree's NODE_V8_COVERAGE, once the tree has ended. */
  constructor(folder: string) {
    for (const name of fs.readdirSync(folder)) {
      const pid = Number(/^coverage-(\d+)-/.exec(name)?.[1]);
      const { result } = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8')) as CoverageReport;
      const known = this.byPid.get(pid) ?? new Set();
      for (const { url } of result) known.add(nameOf(url));
      this.byPid.set(pid, known);
    }
  }

  /** Package names, and folders of ours such as `lib/embedded`. Empty when the process has written nothing. */
  of(pid: number | undefined): ReadonlySet<string> {
    return this.byPid.get(pid ?? 0) ?? new Set();
  }

  get pids(): number[] {
    return [...this.byPid.keys()];
  }
}

/** Of a tree that is up, the pids by role. */
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
