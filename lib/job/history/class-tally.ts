import { BUCKETS, Histogram } from '../../support/histogram';

export const COUNTERS = ['processed', 'failed', 'retried', 'dead', 'discarded'] as const;
export const HISTOGRAMS = ['latency', 'duration'] as const;

/** What became of the jobs of one class in some stretch of time. */
export class ClassTally {
  /** Runs that succeeded. */
  processed = 0;
  /** Runs that failed, whether another is to follow or not. */
  failed = 0;
  retried = 0;
  dead = 0;
  discarded = 0;
  /** How long they waited before each run, since they could have run. */
  readonly latency = new Histogram();
  /** How long the runs that succeeded took. */
  readonly duration = new Histogram();

  merge(other: ClassTally): void {
    for (const name of COUNTERS) this[name] += other[name];
    for (const name of HISTOGRAMS) this[name].merge(other[name]);
  }
}

/** How they are called in Redis: short, since they are there for every class and minute. */
const COUNTER_CODES = { processed: 'p', failed: 'f', retried: 'r', dead: 'd', discarded: 'x' } as const;
const HISTOGRAM_CODES = { latency: 'l', duration: 't' } as const;

/** Of a field that keeps its greatest value, where all others are summed up. A pattern of Lua's, which is one of JavaScript's, too. */
export const GREATEST = '^[lt]m:';

/** As increments of a hash's fields: `p:WelcomeEmailJob`, `t7:WelcomeEmailJob` for bucket 7, `ts:` for the sum; and `tm:` for the greatest. */
export function toFields(className: string, tally: ClassTally): [field: string, by: number][] {
  const fields: [string, number][] = [];
  const put = (code: string, by: number) => {
    if (by > 0) fields.push([`${code}:${className}`, by]);
  };
  for (const name of COUNTERS) put(COUNTER_CODES[name], tally[name]);
  for (const name of HISTOGRAMS) {
    const code = HISTOGRAM_CODES[name];
    for (const [bucket, count] of tally[name].counts.entries()) put(`${code}${bucket}`, count);
    put(`${code}s`, Math.round(tally[name].sumMs));
    put(`${code}m`, Math.ceil(tally[name].maxMs));
  }
  return fields;
}

/** Reads such a hash. What else is in it, as another version may leave it, is passed over. */
export function fromFields(fields: Readonly<Record<string, string>>): Map<string, ClassTally> {
  const tallies = new Map<string, ClassTally>();
  for (const [field, text] of Object.entries(fields)) {
    const colon = field.indexOf(':');
    const set = SETTERS.get(field.slice(0, colon));
    const value = Number(text);
    if (colon === -1 || !set || !Number.isFinite(value)) continue;
    const className = field.slice(colon + 1);
    const tally = tallies.get(className) ?? new ClassTally();
    set(tally, value);
    tallies.set(className, tally);
  }
  return tallies;
}

type Setter = (tally: ClassTally, value: number) => void;

/** By code. */
const SETTERS: ReadonlyMap<string, Setter> = new Map<string, Setter>([
  ...COUNTERS.map((name): [string, Setter] => [
    COUNTER_CODES[name],
    (tally, value) => {
      tally[name] = value;
    },
  ]),
  ...HISTOGRAMS.flatMap((name): [string, Setter][] => [
    [
      `${HISTOGRAM_CODES[name]}s`,
      (tally, value) => {
        tally[name].sumMs = value;
      },
    ],
    [
      `${HISTOGRAM_CODES[name]}m`,
      (tally, value) => {
        tally[name].maxMs = value;
      },
    ],
    ...Array.from({ length: BUCKETS }, (_, bucket): [string, Setter] => [
      `${HISTOGRAM_CODES[name]}${bucket}`,
      (tally, value) => {
        tally[name].counts[bucket] = value;
      },
    ]),
  ]),
]);
