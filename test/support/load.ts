import http from 'node:http';
import { WAIT_LIMIT_MS } from './wait-limit';

export interface LoadResult {
  requests: number;
  /** How often each kind of failure was seen: `ECONNRESET fresh`, `503`, `hang`. Empty when all went well. */
  failures: Record<string, number>;
}

export interface Load {
  readonly result: LoadResult;
  /** Resolves when at least `count` more requests have been answered. */
  answered(count: number): Promise<void>;
  /** No new requests; resolves when the last has ended. */
  stop(): Promise<LoadResult>;
}

/** An answer that is still to come is not a lost one, however slow the machine. */
const HANG_MS = WAIT_LIMIT_MS;
/** No test's load may go on longer. */
const LONGEST_MS = 3 * WAIT_LIMIT_MS;

/**
 * Loads an address of this machine from `connections` at once, half of them keep-alive, half fresh for each request.
 * @param pathOf gives the path for the n-th request.
 */
export function startLoad(baseUrl: string, connections: number, pathOf: (n: number) => string): Load {
  const result: LoadResult = { requests: 0, failures: {} };
  const waiters = new Set<{ left: number; done: () => void }>();
  const agents = Array.from(
    { length: connections },
    (_, i) => new http.Agent({ keepAlive: i % 2 === 0, maxSockets: 1 }),
  );
  const end = performance.now() + LONGEST_MS;
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
      }, HANG_MS);
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
