import { UserError } from '../../core/errors';
import { databaseInUse } from '../../model/transaction';
import type { Args, CronOptions, JobClass, Performable } from '../definition/job-class';
import { compileOptions } from '../definition/options';
import { jobEquipment } from '../enqueue/connection';
import { serializeArguments } from '../record/arguments';
import { requireKeys } from '../record/encryption';
import { argumentOwner, type CronArguments, type CronListing, CronTable, removeCron, upsertCron } from './cron-table';
import { checkCron } from './schedule';

/** A recurring job that is declared at run time. */
export interface RunTimeCronOptions<J extends Performable> extends Pick<CronOptions, 'at' | 'timeZone' | 'catchUp'> {
  /** The job to enqueue at each time. */
  readonly class: JobClass<J>;
  /** Arguments of `perform`. Models are loaded again for each run. They are encrypted if the class says so. Default none. */
  readonly args?: Readonly<Args<J>>;
}

/**
 * Recurring jobs that are declared at run time, such as one for each customer. They are rows of Postgres: part of the ambient
 * transaction, there until they are removed, and followed by the processors of all trees at once. Recurring jobs of the app itself
 * have `static cron`.
 */
export const Cron = Object.freeze({
  /**
   * Declares a recurring job, or changes the one of this name. A new one, or one with another schedule, starts from now; one with
   * the same schedule misses no time.
   * @param name at most 200 characters without spaces.
   * @throws UserError that names the recurring job, for a wrong name, time, zone or policy, for the name of a `static cron`, and
   * without a key to encrypt with; TypeError for arguments that cannot travel; NotConnectedError.
   */
  async upsert<J extends Performable>(name: string, options: RunTimeCronOptions<J>): Promise<void> {
    const { class: jobClass, at, timeZone, catchUp, args = [] } = options;
    const { setup, models, keys } = jobEquipment();
    const codec = { serializers: setup?.serializers, models };
    const given = { name, at, args, ...(timeZone !== undefined && { timeZone }), ...(catchUp && { catchUp }) };
    if (typeof jobClass !== 'function') throw new UserError(`Cron.upsert: the class of ${name} is ${String(jobClass)}`);
    if (typeof at !== 'string') {
      throw new UserError(`Cron.upsert: at of ${name} is ${JSON.stringify(at)}; give text such as '0 3 * * *'`);
    }
    const { spec, policy, ...checked } = checkCron(given, codec);
    const { name: className, encrypt } = compileOptions(jobClass);
    const json = serializeArguments(`Cron.upsert of ${name}`, args, codec);
    const encrypted = (): CronArguments => {
      return { encrypted: requireKeys(className, keys).encrypt(json, argumentOwner({ name, class: className })) };
    };
    const isDeclared = await upsertCron(databaseInUse('Cron.upsert()'), {
      name,
      class: className,
      spec,
      time_zone: checked.timeZone,
      catch_up: policy,
      args: encrypt && args.length > 0 ? encrypted() : json,
    });
    if (isDeclared) return;
    throw new UserError(`Cron.upsert: a class declares the recurring job ${name} by static cron; give another name`);
  },

  /** Removes the recurring job. @returns false if none of this name was declared at run time. @throws NotConnectedError. */
  remove(name: string): Promise<boolean> {
    return removeCron(databaseInUse('Cron.remove()'), name);
  },

  /** All recurring jobs, those of classes too, by name. @throws NotConnectedError. */
  list(): Promise<CronListing[]> {
    return new CronTable(databaseInUse('Cron.list()')).list();
  },
});
