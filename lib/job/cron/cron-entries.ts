import { EXIT, toError, UserError } from '../../core/errors';
import { type ArgumentCodec, serializeArguments } from '../enqueue/arguments';
import { type CronOptions, type JobClass, jobNameOf } from '../job-class';
import type { CatchUpPolicy } from './catch-up';
import { Schedule } from './schedule';

/** One recurring job, as its class declares it. */
export interface CronEntry {
  readonly name: string;
  readonly jobClass: JobClass;
  /** The expression. */
  readonly spec: string;
  readonly timeZone: string;
  readonly policy: CatchUpPolicy;
  readonly args: readonly unknown[];
  readonly schedule: Schedule;
}

const POLICIES: readonly string[] = ['skip', 'once', 'all'] satisfies CatchUpPolicy[];
const NAME = /^[^\s\p{C}]{1,200}$/u;

/**
 * What the `static cron` of these classes asks for. That `args` suit `perform` no type can say: a class whose `perform`
 * takes arguments must give them here.
 * @param codec what arguments may be, besides JSON.
 * @throws UserError that names the class, the value and what to do.
 */
export function cronEntries(classes: Iterable<JobClass>, codec: ArgumentCodec = {}): CronEntry[] {
  const entries = new Map<string, CronEntry>();
  for (const jobClass of classes) {
    for (const given of declared(jobClass)) {
      const entry = subject(jobNameOf(jobClass), () => readEntry(jobClass, given, codec));
      const other = entries.get(entry.name)?.jobClass;
      if (other === jobClass) {
        throw new UserError(
          `${jobNameOf(jobClass)}: two entries of its cron are named ${entry.name}; give one of them another name`,
        );
      }
      if (other) {
        const classes = `${jobNameOf(other)} and ${jobNameOf(jobClass)}`;
        throw new UserError(`${classes}: both have a cron named ${entry.name}; give one of them another name`);
      }
      entries.set(entry.name, entry);
    }
  }
  return [...entries.values()];
}

function declared({ cron }: JobClass): readonly CronOptions[] {
  if (cron === undefined || cron === null) return [];
  if (Array.isArray(cron)) return cron as readonly CronOptions[];
  return [typeof cron === 'string' ? { at: cron } : (cron as CronOptions)];
}

function readEntry(jobClass: JobClass, given: CronOptions, codec: ArgumentCodec): CronEntry {
  if (typeof given !== 'object' || given === null || typeof given.at !== 'string') {
    throw new UserError(`cron is ${JSON.stringify(given)}; give text such as '0 3 * * *', or { at: '0 3 * * *', … }`);
  }
  const { at, timeZone = 'UTC', catchUp = 'once', args = [], name = jobNameOf(jobClass) } = given;
  if (!POLICIES.includes(catchUp)) {
    throw new UserError(`catchUp of cron '${at}' is ${JSON.stringify(catchUp)}; give ${POLICIES.join(', ')}`);
  }
  if (!NAME.test(name)) {
    throw new UserError(`name of cron '${at}' is ${JSON.stringify(name)}; give at most 200 characters without spaces`);
  }
  if (!Array.isArray(args)) {
    throw new UserError(`args of cron '${at}' is ${JSON.stringify(args)}; give an array of what perform takes`);
  }
  serializeArguments(`cron '${at}'`, args, codec);
  const schedule = new Schedule(at, timeZone);
  return { name, jobClass, spec: at, timeZone, policy: catchUp, args, schedule };
}

/** Says of whose what is wrong. */
function subject<T>(className: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    const error = toError(thrown);
    throw Object.assign(new UserError(`${className}: ${error.message}`, EXIT.config), { cause: error });
  }
}
