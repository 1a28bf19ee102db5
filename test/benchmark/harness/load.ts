import { type Goal, interleave, judged, median, middleHalf, pairedRatios, percentile, short, table } from './figures';
import { cpuMs, type MeasuredServer } from './measured-server';
import { Child, NO_LIMIT } from './processes';
import { peer } from './product';

/** Interval at which autocannon checks for its end, ms. Its default of a second would distort short bursts. */
const SAMPLE_MS = 20;

export interface LoadTask {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly connections: number;
  /** Number of requests, or for how long. During a time, connections may break: they are counted, and made anew. */
  readonly amount?: number;
  readonly seconds?: number;
  /** Prefix of addresses: each request signs up a user. Undefined sends requests without a body. */
  readonly signUps?: string;
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: string;
}

export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly answered: number;
  /** Latency of each request, ms. */
  readonly latencies: readonly number[];
  /** Number of unsuccessful responses by status, and of connection errors by code. */
  readonly wrong: Readonly<Record<string, number>>;
}

/** Runs autocannon in a process of its own. It refuses addresses other than this machine's. */
export class Loader {
  private readonly child = new Child(__filename, {}, NO_LIMIT);

  /** @throws Error when any request failed, since the figures would then mean nothing. */
  async run(task: LoadTask): Promise<LoadResult> {
    if (!['127.0.0.1', 'localhost'].includes(new URL(task.url).hostname)) {
      throw new Error(`${task.url} is not on this machine`);
    }
    this.child.send(task);
    const result = await this.child.next<LoadResult>();
    const { answered, wrong } = result;
    if (task.seconds === undefined && (Object.keys(wrong).length > 0 || answered !== task.amount)) {
      throw new Error(`${task.method} ${task.url}: ${answered} of ${task.amount} answered, ${JSON.stringify(wrong)}`);
    }
    return result;
  }

  async end(): Promise<void> {
    await this.child.kill();
  }
}

export async function withLoader<T>(work: (loader: Loader) => Promise<T>): Promise<T> {
  const loader = new Loader();
  try {
    return await work(loader);
  } finally {
    await loader.end();
  }
}

/** The figures of one server in one round. */
export interface BurstsResult {
  readonly requestsPerSecond: number;
  /** CPU time of all its processes, µs per request. */
  readonly cpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface BurstsOptions<K extends string> {
  readonly bursts: number;
  /** Requests per burst. */
  readonly amount: number;
  /** Number of bursts beforehand that are not measured. */
  readonly warmUp: number;
  readonly task: (name: K) => Omit<LoadTask, 'amount' | 'url'> & { readonly path: string };
}

/**
 * Loads servers that run side by side in short turns, so that other load on the machine affects all of them. While one
 * is loaded the others idle.
 */
export async function burstsInTurn<K extends string>(
  loader: Loader,
  servers: Readonly<Record<K, MeasuredServer>>,
  { bursts, amount, warmUp, task }: BurstsOptions<K>,
): Promise<Record<K, BurstsResult>> {
  const names = Object.keys(servers) as K[];
  const burst = async (name: K) => {
    const { url, pids } = servers[name];
    const { path, ...rest } = task(name);
    const before = cpuMs(pids);
    const result = await loader.run({ ...rest, url: url + path, amount });
    return { ...result, cpuMs: cpuMs(pids) - before };
  };
  await interleave(names, warmUp, burst);
  const results = await interleave(names, bursts, burst);
  return Object.fromEntries(names.map((name) => [name, summed(results[name])])) as Record<K, BurstsResult>;
}

function summed(bursts: readonly (LoadResult & { readonly cpuMs: number })[]): BurstsResult {
  const sum = (of: (burst: (typeof bursts)[number]) => number) => bursts.reduce((total, one) => total + of(one), 0);
  const requests = sum(({ answered }) => answered);
  const latencies = bursts.flatMap((burst) => burst.latencies);
  return {
    requestsPerSecond: requests / sum(({ answered, requestsPerSecond }) => answered / requestsPerSecond),
    cpuUs: (sum((burst) => burst.cpuMs) / requests) * 1000,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
  };
}

interface Comparison {
  readonly title: string;
  /** The server that is compared with the others. */
  readonly subject: string;
  /** Goals by the name of another server, for the subject's figure divided by that server's. */
  readonly goals: Readonly<Record<string, { readonly speed?: Goal; readonly p99?: Goal }>>;
}

/** A table with a line per server: its medians over the rounds, and the subject's ratios to it within a round. */
export function compare<K extends string>(
  rounds: Readonly<Record<K, readonly BurstsResult[]>>,
  { title, subject, goals }: Comparison,
): string {
  const lines = (Object.keys(rounds) as K[]).map((name) => {
    const of = (figure: keyof BurstsResult, server = name) => rounds[server].map((round) => round[figure]);
    const medians = (['requestsPerSecond', 'p50Ms', 'p99Ms', 'cpuUs'] as const).map((figure) => median(of(figure)));
    const figures = medians.map(short);
    if (name === subject) return [name, ...figures];
    const ratios = (figure: keyof BurstsResult) => pairedRatios(of(figure, subject as K), of(figure));
    const speed = ratios('requestsPerSecond');
    return [
      name,
      ...figures,
      judged(median(speed), goals[name]?.speed),
      middleHalf(speed),
      judged(median(ratios('p99Ms')), goals[name]?.p99),
      judged(median(ratios('cpuUs'))),
    ];
  });
  const head = [title, 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'req/s ÷', 'middle half', 'p99 ÷', 'CPU ÷'];
  return table(head, lines);
}

interface AutocannonRequest {
  body?: string;
}

interface AutocannonRun {
  on(event: 'response', listener: (client: unknown, status: number, bytes: number, ms: number) => void): void;
  on(event: 'reqError', listener: (error: Error) => void): void;
  then<T>(next: () => T): Promise<T>;
}

/** Runs in the loader's process. */
async function load({ url, method, connections, amount, seconds, signUps, token }: LoadTask): Promise<LoadResult> {
  let sent = 0;
  const headers = {
    ...(signUps !== undefined && { 'content-type': 'application/json' }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  const setupRequest = (request: AutocannonRequest) => {
    if (signUps === undefined) return request;
    const n = sent++;
    // Addresses are unique, as a second sign-up would fail; every other user reads Korean.
    const user = { email: `${signUps}-${n}@example.com`, name: `User ${n}`, locale: n % 2 ? 'ko' : 'en' };
    request.body = JSON.stringify(user);
    return request;
  };
  const latencies: number[] = [];
  const wrong: Record<string, number> = {};
  const note = (what: string) => {
    wrong[what] = (wrong[what] ?? 0) + 1;
  };
  const autocannon = peer<(options: object) => AutocannonRun>('autocannon');
  const begun = performance.now();
  let last = begun;
  const run = autocannon({
    url,
    connections,
    ...(seconds === undefined ? { amount } : { duration: seconds }),
    sampleInt: SAMPLE_MS,
    requests: [{ method, headers, setupRequest }],
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

if (require.main === module) {
  process.on('message', (message) => {
    void load(message as LoadTask).then((result) => process.send?.(result));
  });
}
