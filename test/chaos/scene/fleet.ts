import assert from 'node:assert/strict';
import { spawnTree, type Tree } from '../../support/tree';
import { until } from '../../support/until';
import type { Backend, Front } from './front';

/** Limit for the start of a tree, ms: the machine is serving at the same time. */
const READY_MS = 240_000;
/** Log lines that a rolled tree may have: jobs of the fixture that fail on purpose. */
const EXPECTED = /(Stubborn|Patient|Notes)Job failed/;

interface Member {
  readonly tree: Tree;
  readonly backend: Backend;
}

/** Trees of one app behind one front, replaced one after the other as in a rolling update of Kubernetes. */
export class Fleet {
  /** Sentences about what must not have happened; empty if all went well. */
  readonly gaveUp: string[] = [];
  private members: Member[] = [];
  private readonly ended: Tree[] = [];

  constructor(
    private readonly front: Front,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  /** Starts one more tree. Resolves when the front sends it requests. */
  async add(entry: string): Promise<void> {
    this.members.push(await this.launch(entry));
  }

  /** Replaces each running tree by one of `entry`: the old one is stopped when the new one is ready. */
  async roll(entry: string, onEach: (count: number) => void): Promise<void> {
    const old = this.members;
    this.members = [];
    for (const [index, member] of old.entries()) {
      this.members.push(await this.launch(entry));
      await this.end(member);
      onEach(index + 1);
    }
  }

  async stop(): Promise<void> {
    for (const member of this.members) await this.end(member);
    this.members = [];
  }

  async cleanup(): Promise<void> {
    await Promise.all([...this.members.map(({ tree }) => tree), ...this.ended].map((tree) => tree.cleanup()));
  }

  /** Lines of all logs that match, without those of jobs that fail on purpose. */
  lines(match: RegExp): string[] {
    const trees = [...this.ended, ...this.members.map(({ tree }) => tree)];
    return trees
      .flatMap((tree) => tree.linesMatching(match).map(({ text }) => text))
      .filter((text) => !EXPECTED.test(text));
  }

  private async launch(entry: string): Promise<Member> {
    const tree = spawnTree({ entry, env: this.env });
    await tree.ready();
    const backend = this.front.add(tree.baseUrl);
    await until('the new tree gets requests', () => backend.serves, { timeoutMs: READY_MS, everyMs: 50 });
    return { tree, backend };
  }

  private async end({ tree, backend }: Member): Promise<void> {
    const { code, signal } = await tree.stop();
    this.front.remove(backend);
    this.ended.push(tree);
    if (code !== 0) this.gaveUp.push(`a tree that was told to stop ended with ${signal ?? `code ${code}`}`);
    await tree.allGone();
    assert.equal(backend.serves, false);
  }
}
