import http from 'node:http';
import { WAIT_LIMIT_MS } from './wait-limit';

export interface LoadResult {
  requests: number;
  /** Failures by kind, such as `ECONNRESET fresh`, `503`, `hang`. Empty when all requests were answered. */
  failures: Record<string, number>;
}

export interface Load {
  readonly result: LoadResult;
  /** Resolves when at least `count` more requests have been answered. */
  answered(count: number): Promise<void>;
  /** Starts no new requests; resolves when the last one has ended. */
  stop(): Promise<LoadResult>;
}

/** Maximum duration of a load, ms, so that a test that forgets to stop one ends. */
const MAX_MS = 4 * WAIT_LIMIT_MS;

/**
 * Requests paths in `connections` concurrent loops: half keep one connection alive, half open one for each request.
 * @param pathOf returns the path of the n-th request overall, counted from 0.
 */
export function startLoad(baseUrl: string, connections: number, pathOf: (n: number) => string): Load {
  const result: LoadResult = { requests: 0, failures: {} };
  const waiters = new Set<{ left: number; done: () => void }>();
  const agents = Array.from(
    { length: connections },
    (_, i) => new http.Agent({ keepAlive: i % 2 === 0, maxSockets: 1 }),
  );
  const end = performance.now() + MAX_MS;
  let stopping = false;
  let sent = 0;

  const request = (agent: http.Agent): Promise<void> =>
    new Promise((resolve) => {
      const finish = (failure?: string): void => {
        clearTimeout(timer);
        result.requests++;
        if (failure) result.failures[failure] = (result.failures[failure] ?? 0) + 1;
        for (const waiter of waiters) if (--waiter.left <= 0) waiter.done();
        resolve();
      };
      const sentRequest = http.get(new URL(pathOf(sent++), baseUrl), { agent }, (response) => {
        response.on('error', (error: NodeJS.ErrnoException) => finish(`${error.code} in the body`));
        response.on('end', () => finish((response.statusCode ?? 0) >= 500 ? String(response.statusCode) : undefined));
        response.resume();
      });
      sentRequest.on('error', (error: NodeJS.ErrnoException) => {
        if (!sentRequest.destroyed || error.message !== 'hang')
          finish(`${error.code} ${sentRequest.reusedSocket ? 'reused' : 'fresh'}`);
      });
      const timer = setTimeout(() => {
        finish('hang');
        sentRequest.destroy(new Error('hang'));
      }, WAIT_LIMIT_MS);
    });

  const loops = agents.map(async (agent) => {
    while (!stopping && performance.now() < end) await request(agent);
    agent.destroy();
  });

  return {
    result,
    answered: (count) =>
      new Promise((resolve) => {
        const waiter = {
          left: count,
          done: () => {
            waiters.delete(waiter);
            resolve();
          },
        };
        waiters.add(waiter);
      }),
    async stop() {
      stopping = true;
      await Promise.all(loops);
      return result;
    },
  };
}
