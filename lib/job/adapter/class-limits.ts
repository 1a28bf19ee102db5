import { UserError } from '../../core/errors';
import { type JobClass, jobNameOf } from '../job-class';
import type { Delivery } from './fused-call';

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
   * @param upkeep it cleans up after the dead, too, and looks at what is held although nothing here has a limit.
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
