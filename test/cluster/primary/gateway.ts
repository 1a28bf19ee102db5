import http from 'node:http';
import { until } from '../../support/until';
import { WAIT_LIMIT_MS } from '../../support/wait-limit';

export interface GatewayResult {
  answered: number;
  /** Duration of each response, ms. */
  readonly times: number[];
  /** Requests that were sent and got no response, or a 5xx, by kind. */
  readonly lost: Record<string, number>;
  /** Attempts while nothing listened: nothing was lost, so they are repeated. */
  refused: number;
}

const HANG_MS = WAIT_LIMIT_MS;

/**
 * Clients behind a router. It polls /ready, holds requests back while the tree is not ready, and repeats a request
 * when nothing listens. Each request that was sent must be answered.
 */
export class Gateway {
  readonly result: GatewayResult = { answered: 0, times: [], lost: {}, refused: 0 };
  private readonly loops: Promise<void>[];
  private ready = true;
  private closing = false;

  /** @param connections half of them are kept alive. */
  constructor(
    private readonly baseUrl: string,
    connections: number,
    private readonly path: string,
  ) {
    this.loops = Array.from({ length: connections }, (_, i) => this.client(i % 2 === 0));
    this.loops.push(this.watch());
  }

  async more(count: number): Promise<void> {
    const goal = this.result.answered + count;
    await until(`${count} more requests are answered`, () => this.result.answered >= goal);
  }

  /** Sends no more requests; resolves when the last one has ended. */
  async close(): Promise<GatewayResult> {
    this.closing = true;
    await Promise.all(this.loops);
    return this.result;
  }

  private async client(keepAlive: boolean): Promise<void> {
    const agent = new http.Agent({ keepAlive, maxSockets: 1 });
    while (!this.closing) {
      if (this.ready) await this.ask(agent);
      else await pause(25);
    }
    agent.destroy();
  }

  private async ask(agent: http.Agent): Promise<void> {
    const since = performance.now();
    const outcome = await this.send(this.path, agent);
    if (outcome === 'ECONNREFUSED') this.result.refused++;
    else if (typeof outcome === 'number' && outcome < 500) {
      this.result.answered++;
      this.result.times.push(performance.now() - since);
    } else this.result.lost[outcome] = (this.result.lost[outcome] ?? 0) + 1;
  }

  private async watch(): Promise<void> {
    const agent = new http.Agent();
    while (!this.closing) {
      this.ready = (await this.send('/ready', agent)) === 200;
      await pause(this.ready ? 25 : 300);
    }
  }

  /** @returns the status, or the kind of failure. */
  private send(path: string, agent: http.Agent): Promise<string | number> {
    return new Promise((resolve) => {
      const request = http.get(new URL(path, this.baseUrl), { agent, timeout: HANG_MS }, (response) => {
        response.on('error', (error: NodeJS.ErrnoException) => resolve(`${error.code} in the body`));
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.resume();
      });
      request.on('timeout', () => request.destroy(Object.assign(new Error(), { code: 'hang' })));
      request.on('error', ({ code }: NodeJS.ErrnoException) => {
        // Nothing is lost when the connection is refused. Any later error is a loss.
        resolve(code === 'ECONNREFUSED' ? code : `${code} ${request.reusedSocket ? 'reused' : 'fresh'}`);
      });
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
