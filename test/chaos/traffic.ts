import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { type Ledger, promisedBy, TASKS, type TaskKind } from './ledger';

export type Outcome =
  | { readonly status: number; readonly body: string; readonly retryAfter?: string | undefined }
  /** No response: the error's code, or `hang`, with details for diagnosis. */
  | { readonly error: string; readonly detail?: string };

/** Longer than any request can take, ms: it may wait for a thread, a connection and a frozen process. */
const HANG_MS = 45_000;

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends one request, without a retry that could hide a failure. Never rejects. @returns its outcome. */
export function exchange(agent: http.Agent, { method, url, json, headers = {} }: Sent): Promise<Outcome> {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve) => {
    const request = http.request(url, { method, agent, headers: { ...type, ...headers } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', (error: NodeJS.ErrnoException) => end({ error: `${error.code} in the response` }));
      response.on('end', () => {
        end({ status: response.statusCode ?? 0, body: text, retryAfter: response.headers['retry-after'] });
      });
    });
    const timer = setTimeout(() => {
      end({ error: 'hang' });
      request.destroy();
    }, HANG_MS);
    const end = (outcome: Outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    };
    request.on('error', (error: NodeJS.ErrnoException) => {
      const connection = request.reusedSocket ? 'a reused connection' : 'a new connection';
      end({ error: error.code ?? error.message, detail: `${error.message}, on ${connection}` });
    });
    request.end(body);
  });
}

const REFUSED_MS = 100;
/** Pause between two requests of a client, ms: it leaves a small machine time for the faults. */
const PAUSE_MS = 400;

/** Sends one request after the other and records each in the ledger. */
abstract class Client {
  private readonly agent: http.Agent;
  private stopping = false;
  private loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly baseUrl: string,
    protected readonly ledger: Ledger,
    keepAlive: boolean,
  ) {
    this.agent = new http.Agent({ keepAlive, maxSockets: 1 });
  }

  start(): void {
    this.loop = this.run();
  }

  /** Starts no new request; resolves when the last one has ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop;
    this.agent.destroy();
  }

  /** Sends one request of the client's kind. */
  protected abstract ask(): Promise<void>;

  /**
   * Sends a request. It is repeated only when the connection is refused, since nothing was sent then.
   * @returns undefined when the client stops before a connection is accepted.
   */
  protected async send(what: string, path: string, sent: Omit<Sent, 'url'>): Promise<Outcome | undefined> {
    const { baseUrl, ledger } = this;
    while (!this.stopping) {
      const from = performance.now();
      const outcome = await exchange(this.agent, { ...sent, url: baseUrl + path });
      if ('error' in outcome && outcome.error === 'ECONNREFUSED') {
        await wait(REFUSED_MS);
        continue;
      }
      ledger.record(what, outcome, from);
      return outcome;
    }
    return undefined;
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      await this.ask();
      await wait(PAUSE_MS);
    }
  }
}

let people = 0;
let tasks = 0;

/** Signs up users, whose tokens must work as soon as they are answered. */
class SignUpClient extends Client {
  /** @returns the address if the response was 201. */
  async signUp(): Promise<string | undefined> {
    const { ledger } = this;
    const n = ++people;
    const email = `user${n}@example.com`;
    const json = { email, name: `User ${n}`, locale: n % 2 === 0 ? 'ko' : 'en' };
    const outcome = await this.send('POST /users', '/users', { method: 'POST', json });
    if (!outcome) return undefined;
    if (status(outcome) === 201) {
      const { accessToken } = JSON.parse('body' in outcome ? outcome.body : '{}') as { readonly accessToken: string };
      ledger.users.push({ email, token: accessToken });
      return email;
    }
    // The sign-up may have been committed although the response of the worker, or that of Postgres, was lost.
    ledger.unsure.add(email);
    return undefined;
  }

  protected override async ask(): Promise<void> {
    await this.signUp();
  }
}

/** Checks that users who signed up still exist. */
class ReaderClient extends Client {
  private next = 0;

  protected override async ask(): Promise<void> {
    const { users, broken } = this.ledger;
    const user = users[this.next++ % Math.max(1, users.length)];
    if (!user) return;
    const headers = { authorization: `Bearer ${user.token}` };
    const outcome = await this.send('GET /users/me', '/users/me', { method: 'GET', headers });
    if (!outcome || !('body' in outcome) || outcome.status >= 500) return;
    if (outcome.status !== 200) broken.push(`the token of ${user.email} was answered ${outcome.status}`);
    else if (!outcome.body.includes(`"${user.email}"`))
      broken.push(`${user.email} got another response: ${outcome.body}`);
  }
}

/** Has a slow request in flight nearly all the time. */
class SlowClient extends Client {
  protected override async ask(): Promise<void> {
    await this.send('GET /work', '/work?ms=400', { method: 'GET' });
  }
}

/** Enqueues jobs in all ways of TASKS. */
class TaskClient extends Client {
  private next = 0;

  /** @returns the task's id if it was accepted. */
  async enqueue(kind: TaskKind): Promise<number | undefined> {
    const { ledger } = this;
    const id = ++tasks;
    const outcome = await this.send(`POST /tasks/${kind}`, `/tasks/${kind}?id=${id}`, { method: 'POST' });
    if (!outcome) return undefined;
    const promised = promisedBy(kind, status(outcome));
    if (promised === 'nothing') ledger.unsureTasks.add(id);
    else ledger.tasks.push({ id, kind, promised, at: performance.now() });
    if (promised === 'a run') return id;
    return undefined;
  }

  /** Enqueues a job that kills its process. @returns its id. @throws Error if it was not accepted. */
  async poison(): Promise<number> {
    const id = ++tasks;
    const outcome = await this.send('POST /tasks/poison', `/tasks/poison?id=${id}`, { method: 'POST' });
    if (outcome && status(outcome) === 201) return id;
    throw new Error(`POST /tasks/poison was not accepted: ${JSON.stringify(outcome)}`);
  }

  protected override async ask(): Promise<void> {
    await this.enqueue(TASKS[this.next++ % TASKS.length] ?? 'transaction');
  }
}

function status(outcome: Outcome): number | undefined {
  return 'status' in outcome ? outcome.status : undefined;
}

/** Clients that use the tree for the whole run, whatever happens to it. */
export class Traffic {
  private readonly clients: readonly Client[];
  /** These two only send requests on demand, for faults and recovery checks. */
  readonly signUps: SignUpClient;
  readonly tasks: TaskClient;

  constructor(baseUrl: string, ledger: Ledger) {
    const some = <C extends Client>(many: number, Kind: new (...args: [string, Ledger, boolean]) => C) =>
      // Half of the clients keep their connection alive, half open one for each request.
      Array.from({ length: many }, (_, n) => new Kind(baseUrl, ledger, n % 2 === 0));
    this.clients = [...some(4, SignUpClient), ...some(2, ReaderClient), ...some(2, TaskClient), ...some(2, SlowClient)];
    this.signUps = new SignUpClient(baseUrl, ledger, false);
    this.tasks = new TaskClient(baseUrl, ledger, false);
  }

  start(): void {
    for (const client of this.clients) client.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.clients, this.signUps, this.tasks].map((client) => client.stop()));
  }
}
