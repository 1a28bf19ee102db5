import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { signUp, somebody } from './sign-ups';

/** Retries of jobs are delayed, and thousands of mails take some time, ms. */
export const SETTLED_MS = 4 * WAIT_LIMIT_MS;
/** Errors that a client gets when a process is killed during its request. */
const CUT = /^(ECONNRESET|EPIPE)$/;

interface StormOptions {
  /** Number of sign-ups that are answered 201 or cut off. */
  readonly users: number;
  readonly atOnce: number;
  /** The tree for the n-th sign-up. */
  readonly treeFor: (n: number) => Tree;
}

/**
 * People who sign up while processes are killed. The test allows them step by step, so that a fast machine and a slow one see
 * the same storm.
 */
export class StormClients {
  readonly accepted: string[] = [];
  /** Requests that were cut off: their users may or may not exist. */
  readonly cut: { readonly email: string; readonly tree: Tree }[] = [];
  readonly failures: string[] = [];
  /** Attempts while nothing listened: nothing was sent, so they are repeated. */
  refused = 0;
  /** Further sign-ups wait until this is raised. */
  allowed = 0;
  readonly done: Promise<unknown>;
  private begun = 0;

  constructor(private readonly options: StormOptions) {
    this.done = Promise.all(Array.from({ length: options.atOnce }, () => this.client()));
  }

  /** Resolves when that many sign-ups have ended. */
  async ended(many: number): Promise<void> {
    const ended = () => this.accepted.length + this.cut.length + this.failures.length;
    await until(`${many} sign-ups have ended`, () => ended() >= many, { timeoutMs: SETTLED_MS });
  }

  private async client(): Promise<void> {
    while (this.begun < this.options.users) {
      const number = this.begun++;
      await until('it is its turn', () => number < this.allowed, { timeoutMs: SETTLED_MS });
      await until('a tree listens', () => this.signUpOne(number));
    }
  }

  /** @returns false if the connection was refused. */
  private async signUpOne(number: number): Promise<boolean> {
    const [tree, user] = [this.options.treeFor(number), somebody()];
    try {
      const { status, body } = await signUp(tree, user);
      if (status === 201) this.accepted.push(user.email);
      else this.failures.push(`${status} ${body}`);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      if (code === 'ECONNREFUSED') {
        this.refused++;
        return false;
      }
      if (CUT.test(code)) this.cut.push({ email: user.email, tree });
      else this.failures.push(code);
    }
    return true;
  }
}
