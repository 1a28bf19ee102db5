import { peer } from '../contender/peer';
import type { LoadResult, LoadTask } from './loader';

interface Request {
  body?: string;
}

interface Run {
  on(event: 'response', listener: (client: unknown, status: number, bytes: number, ms: number) => void): void;
  on(event: 'reqError', listener: (error: Error) => void): void;
  then<T>(next: () => T): Promise<T>;
}

const autocannon = peer<(options: object) => Run>('autocannon');
/** How soon it notices that all is answered, ms. Its own default is a second. */
const SAMPLE_MS = 20;

async function load({ url, method, headers, connections, amount, signUps, rate }: LoadTask): Promise<LoadResult> {
  let sent = 0;
  const setupRequest = (request: Request) => {
    if (signUps === undefined) return request;
    const n = sent++;
    // Nobody twice; every other one reads Korean.
    request.body = JSON.stringify({
      email: `${signUps}-${n}@example.com`,
      name: `User ${n}`,
      locale: n % 2 ? 'ko' : 'en',
    });
    return request;
  };
  const latencies: number[] = [];
  const wrong: Record<string, number> = {};
  const note = (what: string) => {
    wrong[what] = (wrong[what] ?? 0) + 1;
  };
  const begun = performance.now();
  let last = begun;
  const run = autocannon({
    url,
    connections,
    amount,
    ...(rate !== undefined && { overallRate: rate }),
    sampleInt: SAMPLE_MS,
    requests: [
      { method, headers: { ...headers, ...(signUps && { 'content-type': 'application/json' }) }, setupRequest },
    ],
  });
  run.on('response', (_client, status, _bytes, ms) => {
    last = performance.now();
    latencies.push(ms);
    if (status < 200 || status > 299) note(String(status));
  });
  run.on('reqError', (error) => note(error.message));
  await run;
  return {
    requestsPerSecond: (latencies.length / (last - begun)) * 1000,
    answered: latencies.length,
    latencies,
    wrong,
  };
}

process.on('message', (message) => {
  void load(message as LoadTask).then((result) => process.send?.(result));
});
