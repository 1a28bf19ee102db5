import assert from 'node:assert/strict';
import http from 'node:http';
import type { Answer } from '../support/http';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import type { Deployment } from './deployment';

let count = 0;

export interface NewUser {
  readonly email: string;
  readonly name: string;
  readonly locale: 'en' | 'ko';
}

/** A new user; every second one reads Korean. */
export function somebody(): NewUser {
  const n = ++count;
  return { email: `user${n}@example.com`, name: `User ${n}`, locale: n % 2 === 0 ? 'ko' : 'en' };
}

export function subjectFor({ locale }: NewUser): string {
  return locale === 'ko' ? 'Catamount에 오신 것을 환영합니다' : 'Welcome to Catamount';
}

export function signUp(tree: Tree, user: NewUser = somebody()): Promise<Answer> {
  return tree.request('POST', '/users', { json: user });
}

/** Signs up that many users, `atOnce` of them at a time. @returns the users; each was answered 201. */
export async function signUpMany(tree: Tree, many: number, atOnce = 8): Promise<NewUser[]> {
  const users = Array.from({ length: many }, somebody);
  const queue = [...users];
  const loops = Array.from({ length: atOnce }, async () => {
    for (let user = queue.pop(); user; user = queue.pop()) assert.equal((await signUp(tree, user)).status, 201);
  });
  await Promise.all(loops);
  return users;
}

/** People who sign up one after the other, on several connections at once, until `stop()`. */
export class SignUpStream {
  readonly accepted: string[] = [];
  /** Statuses other than 201, and error codes. */
  readonly failures: string[] = [];
  private stopping = false;
  private readonly loops: Promise<void>[];

  constructor(
    private readonly tree: Tree,
    atOnce = 3,
  ) {
    this.loops = Array.from({ length: atOnce }, () => this.loop());
  }

  /** Resolves when that many more users have signed up. */
  async more(many: number): Promise<void> {
    const goal = this.accepted.length + many;
    const reached = () => this.accepted.length >= goal;
    await until(`${many} more have signed up`, reached).catch((error: Error) => {
      throw new Error(`${error.message}; failures: ${this.failures}`);
    });
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.loops);
  }

  private async loop(): Promise<void> {
    while (!this.stopping) {
      const user = somebody();
      try {
        const { status } = await signUp(this.tree, user);
        if (status === 201) this.accepted.push(user.email);
        else this.failures.push(String(status));
      } catch (error) {
        this.failures.push((error as NodeJS.ErrnoException).code ?? String(error));
      }
    }
  }
}

/** A sign-up whose headers the server has received, but not yet the body. */
export interface OpenSignUp {
  /** Sends the body. @returns the status of the response. */
  finish(): Promise<number>;
}

/** Resolves when the server has answered the headers with `100 Continue`, so that the request is certainly in flight. */
export function openSignUp(tree: Tree): Promise<OpenSignUp> {
  const body = Buffer.from(JSON.stringify(somebody()));
  const headers = { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' };
  return new Promise((resolve, reject) => {
    const request = http.request(new URL('/users', tree.baseUrl), { method: 'POST', headers, agent: false });
    const status = new Promise<number>((onStatus, onError) => {
      request.once('error', onError);
      request.once('response', (response) => {
        response.resume();
        response.once('end', () => onStatus(response.statusCode ?? 0));
      });
    });
    status.catch(reject);
    const finish = () => {
      request.end(body);
      return status;
    };
    request.once('continue', () => resolve({ finish }));
    request.flushHeaders();
  });
}

/** People sign up before, during and after what happens; each is answered 201 and gets one mail, and the tree exits with 0. */
export async function signUpsThrough(
  deployment: Deployment,
  tree: Tree,
  happens: (stream: SignUpStream) => Promise<void>,
): Promise<void> {
  const stream = new SignUpStream(tree, 2);
  await stream.more(10);
  await happens(stream);
  await stream.more(10);
  await stream.stop();
  assert.deepEqual(stream.failures, []);
  await assertOneMailEach(deployment);
  assert.equal((await tree.stop()).code, 0);
}

/** Waits until every job has ended, then asserts that each user in the database got exactly one mail. */
export async function assertOneMailEach(deployment: Deployment): Promise<void> {
  const { database, sink } = deployment;
  const left = async () => (await database.query('select id, state, class from job_queue')).length;
  await until('every job has ended', async () => (await left()) === 0);
  const receivers = sink.messages.flatMap((mail) => mail.envelope.to).sort();
  const users = await deployment.users();
  assert.deepEqual(receivers, users);
}
