import { createHash } from 'node:crypto';
import { UserError } from '../../core/errors';
import { isNoScript } from '../../internals/redis-errors';
import type { JobClass } from '../definition/job-class';
import { jobNameOf } from '../definition/options';
import type { BeeConnection } from './consumer';
import { FETCH_SCRIPT } from './fetch-script';

/** A job handed to this process. */
export interface Delivery {
  readonly id: string;
  readonly queue: string;
  /** The record's text, which may be unreadable. */
  readonly record: string;
  /** Deliveries without an outcome, this one included: above 1 a process died, or stalled, with the job. */
  readonly deliveries: number;
  /** Names this delivery among all of the job's. */
  readonly fence: string;
  /** Name of its class, if that has a limit. */
  readonly limitedClass?: string | undefined;
}

/** What a final outcome leaves behind in Redis (fetch-script.ts). */
export type EndMarkers = `${'' | 'f' | 'r' | 'fr'}${'' | 'c'}`;

/** How one delivery ended. */
export type Outcome =
  | { readonly op: 'complete'; readonly markers: EndMarkers }
  | { readonly op: 'discard'; readonly markers: EndMarkers }
  | { readonly op: 'retry'; readonly record: string; readonly dueAt: number }
  | { readonly op: 'dead'; readonly record: string; readonly markers: EndMarkers }
  | { readonly op: 'release' | 'lost' };

interface FetchRequest {
  /** Key prefixes of all queues; numbers of queues below are indexes of this. */
  readonly prefixes: readonly string[];
  readonly token: string;
  readonly wanted: number;
  /** Queues to fetch from, in order; once, or once per wanted job. */
  readonly queueOrders: readonly (readonly number[])[];
  readonly lostTokens: readonly string[];
  /** As `ClassLimits` writes them; '' only when nothing that is blocked need be looked at. */
  readonly limits: string;
  /** Jobs are running here, or may be on their way: none that must run alone is handed out. */
  readonly busy: boolean;
  readonly outcomes: readonly { readonly queue: number; readonly delivery: Delivery; readonly outcome: Outcome }[];
}

export interface FetchReply {
  /** Queues found paused. */
  readonly paused: ReadonlySet<number>;
  /** For each outcome whether it counted. */
  readonly applied: readonly boolean[];
  /** Whether jobs are blocked because of their class's limit, in any queue. Unknown (false) where `limits` was ''. */
  readonly anyBlocked: boolean;
  /** A job that must run alone is next, and was not handed out. */
  readonly isolationDue: boolean;
  readonly fetched: readonly (Omit<Delivery, 'queue'> & { readonly queue: number })[];
}

const SHA = createHash('sha1').update(FETCH_SCRIPT).digest('hex');

/** @throws when the reply is lost; the script may have run. */
export async function fetchAndComplete(connection: BeeConnection, request: FetchRequest): Promise<FetchReply> {
  const args = encode(request);
  // NOSCRIPT ran nothing: send again, with the script.
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
  outcomes,
}: FetchRequest): (string | number)[] {
  const width = orders[0]?.length ?? 0;
  const order = orders.flat().map(twoCharacters);
  const lost = lostTokens.length > 0 ? `|${lostTokens.join('|')}|` : '';
  const args = [
    prefixes.length,
    ...prefixes,
    Date.now(),
    token,
    wanted,
    width,
    order.join(''),
    lost,
    limits,
    busy ? 1 : 0,
  ];
  for (const { queue, delivery, outcome } of outcomes) {
    const record = 'record' in outcome ? outcome.record : '';
    const dueAt = 'dueAt' in outcome ? Math.ceil(outcome.dueAt) : 0;
    const markers = 'markers' in outcome ? outcome.markers : '';
    args.push(queue + 1, delivery.id, delivery.fence, outcome.op, record, dueAt, markers, delivery.limitedClass ?? '');
  }
  return args;
}

/** A queue's number as the script reads it: two digits to the base of 64, from '0' on. */
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

/** How a record begins, down to its class: as the fetching script reads it. */
const CLASS = /^\{"data":\{[^{}[\]]*?"class":"([^"\\]+)"/;

/** How many jobs of a class may run at once, over all processes: `static concurrency` of the classes that have one. */
export class ClassLimits {
  private readonly limits = new Map<string, number>();

  /** @throws UserError for a limit that is no whole number of at least 1, or a name that the script could not read. */
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

  /** The class of a record's text, if it has a limit. What a plain producer wrote has one only if it begins as ours do. */
  classOf(record: string): string | undefined {
    if (this.none) return undefined;
    const name = CLASS.exec(record)?.[1];
    return name !== undefined && this.limits.has(name) ? name : undefined;
  }

  /**
   * For the script: each class with its limit and how many run here, which Redis may have forgotten.
   * @param upkeep it cleans up after the dead, too, and looks at what is blocked although nothing here has a limit.
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
