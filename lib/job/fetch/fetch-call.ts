import { createHash } from 'node:crypto';
import { UserError } from '../../core/errors';
import { isNoScript } from '../../internals/redis-client';
import type { JobClass } from '../definition/job-class';
import { jobNameOf } from '../definition/options';
import type { BeeConnection } from './consumer';
import { FETCH_SCRIPT } from './fetch-script';

/** A job delivered to this process. */
export interface Delivery {
  readonly id: string;
  readonly queue: string;
  /** The record's text, which may be unreadable. */
  readonly record: string;
  /** Deliveries without an outcome, this one included; above 1 a process died or stalled while it ran the job. */
  readonly deliveries: number;
  /** Identifies this delivery among all of the job's. */
  readonly fence: string;
  /** Name of its class, if that has a concurrency limit. */
  readonly limitedClass?: string | undefined;
}

/** The markers of what a final outcome leaves in Redis (fetch-script.ts). */
export type EndMarkers = `${'' | 'f' | 'r' | 'fr'}${'' | 'c'}`;

/** The outcome of one delivery, with the operation that the script performs for it. */
export type Outcome =
  | { readonly op: 'complete'; readonly markers: EndMarkers }
  | { readonly op: 'discard'; readonly markers: EndMarkers }
  | { readonly op: 'retry'; readonly record: string; readonly dueAt: number }
  | { readonly op: 'dead'; readonly record: string; readonly markers: EndMarkers }
  | { readonly op: 'leave'; readonly dueAt: number }
  | { readonly op: 'release' | 'release-counted' };

interface FetchRequest {
  /** Key prefixes of all queues; the queue numbers below are indexes of this array. */
  readonly prefixes: readonly string[];
  readonly token: string;
  readonly wanted: number;
  /** Queues to fetch from, in order: one order for all, or one per wanted job. */
  readonly queueOrders: readonly (readonly number[])[];
  readonly lostTokens: readonly string[];
  /** The text of `ClassLimits.written`; '' when blocked jobs need not be checked. */
  readonly limits: string;
  /** true: jobs are running here or may be on their way, so no job that must run alone is delivered. */
  readonly busy: boolean;
  /** true: offered jobs are recalled first; false: only if there are too few other jobs. */
  readonly recall: boolean;
  readonly outcomes: readonly { readonly queue: number; readonly delivery: Delivery; readonly outcome: Outcome }[];
}

export interface FetchReply {
  /** Numbers of the queues that were found paused. */
  readonly paused: ReadonlySet<number>;
  /** One value per outcome; false: it was void. */
  readonly applied: readonly boolean[];
  /** true: jobs of some queue are blocked by their class's limit. Always false when `limits` was ''. */
  readonly anyBlocked: boolean;
  /** true: a job that must run alone is next and was not delivered. */
  readonly isolationDue: boolean;
  readonly fetched: readonly (Omit<Delivery, 'queue'> & { readonly queue: number })[];
}

const SHA = createHash('sha1').update(FETCH_SCRIPT).digest('hex');

/** Sends outcomes and fetches jobs in one script call. @throws when the reply is lost; the script may have run. */
export async function fetchAndComplete(connection: BeeConnection, request: FetchRequest): Promise<FetchReply> {
  const args = encode(request);
  // NOSCRIPT means that nothing ran, so the call is repeated with the script's text.
  const reply = await connection.send('evalsha', [SHA, ...args]).catch((error: unknown) => {
    if (!isNoScript(error)) throw error;
    return connection.send('eval', [FETCH_SCRIPT, ...args]);
  });
  return decode(reply as (string | number)[]);
}

function encode({
  prefixes,
  token,
  wanted,
  queueOrders: orders,
  lostTokens,
  limits,
  busy,
  recall,
  outcomes,
}: FetchRequest): (string | number)[] {
  const width = orders[0]?.length ?? 0;
  const order = orders.flat().map(twoCharacters);
  const lostCalls = lostTokens.length > 0 ? `|${lostTokens.join('|')}|` : '';
  const args = [
    prefixes.length,
    ...prefixes,
    Date.now(),
    token,
    wanted,
    width,
    order.join(''),
    lostCalls,
    limits,
    busy ? 1 : 0,
    recall ? 1 : 0,
  ];
  for (const { queue, delivery, outcome } of outcomes) {
    const record = 'record' in outcome ? outcome.record : '';
    const dueAt = 'dueAt' in outcome ? Math.ceil(outcome.dueAt) : 0;
    const markers = 'markers' in outcome ? outcome.markers : '';
    args.push(queue + 1, delivery.id, delivery.fence, outcome.op, record, dueAt, markers, delivery.limitedClass ?? '');
  }
  return args;
}

/** Encodes a queue's number for the script: two digits in base 64, from '0' on. */
function twoCharacters(queue: number): string {
  return String.fromCharCode(48 + (queue >> 6), 48 + (queue & 63));
}

function decode(reply: readonly (string | number)[]): FetchReply {
  const [paused = '', applied = '', blocked = '', isolated = ''] = reply;
  const fetched: FetchReply['fetched'][number][] = [];
  for (let i = 4; i + 3 < reply.length; i += 4) {
    const fence = String(reply[i + 2]);
    fetched.push({
      queue: Number(reply[i]) - 1,
      id: String(reply[i + 1]),
      fence,
      deliveries: Number.parseInt(fence, 10),
      record: String(reply[i + 3]),
    });
  }
  return {
    paused: new Set(
      String(paused)
        .split(',')
        .filter(Boolean)
        .map((number) => Number(number) - 1),
    ),
    applied: Array.from(String(applied), (flag) => flag === '1'),
    anyBlocked: blocked === '1',
    isolationDue: isolated === '1',
    fetched,
  };
}

/** Matches the beginning of a record up to its class, as the fetch script does. */
const CLASS = /^\{"data":\{[^{}[\]]*?"class":"([^"\\]+)"/;

/** The concurrency limits of classes over all processes, from `static concurrency`. */
export class ClassLimits {
  private readonly limits = new Map<string, number>();

  /** @throws UserError for a limit that is not a whole number from 1, or a name that the script could not match. */
  constructor(classes: Iterable<Pick<JobClass, 'name' | 'jobName' | 'concurrency'>> = []) {
    for (const jobClass of classes) {
      const { concurrency } = jobClass;
      if (concurrency === undefined) continue;
      const name = jobNameOf(jobClass);
      if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
        const given = JSON.stringify(concurrency) ?? String(concurrency);
        throw new UserError(
          `${name}: concurrency is ${given}; give a whole number from 1, or leave it out for no limit`,
        );
      }
      if (JSON.stringify(name) !== `"${name}"`) {
        const what = `a job name with quotes, backslashes or control characters: ${JSON.stringify(name)}`;
        throw new UserError(`concurrency cannot limit ${what}; give the class another jobName`);
      }
      this.limits.set(name, concurrency);
    }
  }

  get none(): boolean {
    return this.limits.size === 0;
  }

  /** @returns the class of a record, if it has a limit; a plain producer's record must begin like ours. */
  classOf(record: string): string | undefined {
    if (this.none) return undefined;
    const name = CLASS.exec(record)?.[1];
    return name !== undefined && this.limits.has(name) ? name : undefined;
  }

  /**
   * Writes the limits for the script: each class with its limit and the number running here, which Redis may have lost.
   * @param upkeep true: the script also frees permits of dead processes, and checks blocked jobs even without any
   * limit.
   */
  written(running: Iterable<Delivery>, upkeep: boolean): string {
    if (this.none) return upkeep ? '\n' : '';
    const here = new Map<string, number>();
    for (const { limitedClass } of running) {
      if (limitedClass !== undefined) here.set(limitedClass, (here.get(limitedClass) ?? 0) + 1);
    }
    let text = upkeep ? 'upkeep\n' : '\n';
    for (const [name, limit] of this.limits) text += `${name}\t${limit} ${here.get(name) ?? 0}\n`;
    return text;
  }
}
