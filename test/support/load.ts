import http from 'node:http';
import https from 'node:https';
import { until } from './until';
import { WAIT_LIMIT_MS } from './wait-limit';

export interface LoadOptions {
  /** Each request opens a connection. Default: half of the clients keep theirs alive. */
  readonly allFresh?: boolean;
  /**
   * What follows when a connection is refused, so that nothing was sent: the client ends, or it tries again. Default: it counts
   * as a failure.
   */
  readonly whenRefused?: 'end' | 'try again';
  /** The clients are behind a router, which polls /ready and sends nothing while the tree is not ready. */
  readonly routed?: boolean;
  /** Certificates that sign those of the tree, PEM. Default: those that the system trusts. */
  readonly ca?: string;
  /** The certificate that clients show, PEM. Default: none. */
  readonly client?: { readonly cert: string; readonly key: string };
}

/** Maximum duration of a load without a router, ms, so that a test that forgets to stop one ends. */
const MAX_MS = 4 * WAIT_LIMIT_MS;
const READY_MS = 25;
const UNREADY_MS = 300;

/** Clients that send one request after the other until they are stopped. */
export class Load {
  answered = 0;
  /** Durations of the responses, ms. */
  readonly times: number[] = [];
  /** Failures by kind, such as `ECONNRESET fresh`, `503`, `hang`. Empty when all requests were answered. */
  readonly failures: Record<string, number> = {};
  private readonly clients: readonly Promise<void>[];
  private readonly router: Promise<void> | undefined;
  private readonly end: number;
  private sent = 0;
  private ready = true;
  private stopping = false;

  /** @param pathOf returns the path of the n-th request overall, counted from 0. */
  constructor(
    private readonly baseUrl: string,
    connections: number,
    private readonly pathOf: (n: number) => string,
    private readonly options: LoadOptions = {},
  ) {
    this.end = options.routed ? Number.POSITIVE_INFINITY : performance.now() + MAX_MS;
    this.clients = Array.from({ length: connections }, (_, n) => this.client(!options.allFresh && n % 2 === 0));
    this.router = options.routed ? this.watch() : undefined;
  }

  /** Runs `work` under the load, which ends with it, even if it fails. */
  static async during(load: Load, work: (load: Load) => Promise<void>): Promise<Load> {
    try {
      await work(load);
    } finally {
      await load.stop();
    }
    return load;
  }

  /** Resolves when that many more requests have been answered. */
  async more(count: number): Promise<void> {
    const goal = this.answered + count;
    await until(`${count} more requests are answered`, () => this.answered >= goal);
  }

  /** Resolves when every client has ended. */
  async ended(): Promise<void> {
    await Promise.all(this.clients);
  }

  /** Starts no new requests; resolves when the last ones have ended. */
  async stop(): Promise<Load> {
    this.stopping = true;
    await Promise.all([this.ended(), this.router]);
    return this;
  }

  private get isSecure(): boolean {
    return this.baseUrl.startsWith('https:');
  }

  /** Without sessions that are resumed: each connection is shown the certificate. */
  private agent(options: http.AgentOptions): http.Agent {
    const { ca, client } = this.options;
    return this.isSecure
      ? new https.Agent({ ...options, ca, ...client, maxCachedSessions: 0 })
      : new http.Agent(options);
  }

  private async client(keepAlive: boolean): Promise<void> {
    const agent = this.agent({ keepAlive, maxSockets: 1 });
    while (!this.stopping && performance.now() < this.end) {
      if (!this.ready) await pause(READY_MS);
      else if ((await this.ask(agent)) === 'ECONNREFUSED' && this.options.whenRefused === 'end') break;
    }
    agent.destroy();
  }

  private async ask(agent: http.Agent): Promise<string> {
    const since = performance.now();
    const outcome = await this.send(this.pathOf(this.sent++), agent);
    const [kind = ''] = outcome.split(' ');
    if (Number(kind) < 500) {
      this.answered++;
      this.times.push(performance.now() - since);
    } else if (kind !== 'ECONNREFUSED' || this.options.whenRefused === undefined)
      this.failures[outcome] = (this.failures[outcome] ?? 0) + 1;
    return kind;
  }

  private async watch(): Promise<void> {
    const agent = this.agent({});
    while (!this.stopping) {
      this.ready = (await this.send('/ready', agent)) === '200';
      await pause(this.ready ? READY_MS : UNREADY_MS);
    }
  }

  /** @returns the status, or the kind of failure. */
  private send(path: string, agent: http.Agent): Promise<string> {
    return new Promise((resolve) => {
      const { get } = this.isSecure ? https : http;
      const request = get(new URL(path, this.baseUrl), { agent, timeout: WAIT_LIMIT_MS }, (response) => {
        response.on('error', ({ code }: NodeJS.ErrnoException) => resolve(`${code} in the body`));
        response.on('end', () => resolve(String(response.statusCode)));
        response.resume();
      });
      request.on('timeout', () => request.destroy(Object.assign(new Error(), { code: 'hang' })));
      request.on('error', ({ code }: NodeJS.ErrnoException) =>
        resolve(code === 'hang' ? code : `${code} ${request.reusedSocket ? 'reused' : 'fresh'}`),
      );
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
