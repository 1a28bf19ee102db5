import { ArgumentFilter } from '../../core/argument-filter';
import { type JobClass, jobNameOf } from '../../job/job-class';
import { DeliverMailJob } from '../../mailer/deliver-mail-job';
import type { OpsContext } from '../context';
import type { Site } from '../site';
import type { ShowRules } from './shown-job';

/** The app's job classes, which say whether their arguments may be seen. Loaded when the first job is shown. */
export class JobClasses {
  private readonly filter: ArgumentFilter;
  private known: ReadonlyMap<string, JobClass> | undefined;

  constructor(private readonly jobs: Site['jobs']) {
    this.filter = new ArgumentFilter(jobs.filterArguments);
  }

  get(name: string): JobClass | undefined {
    this.known ??= this.load();
    return this.known.get(name);
  }

  rulesFor({ state }: OpsContext): ShowRules {
    return {
      everything: state.visitor.role === 'operator',
      classOf: (name) => this.get(name),
      filter: this.filter,
    };
  }

  /** Should they not load, no arguments are shown; the job processor tells why. */
  private load(): ReadonlyMap<string, JobClass> {
    const ours: [string, JobClass] = [jobNameOf(DeliverMailJob), DeliverMailJob];
    try {
      return new Map(
        [...this.jobs.classes()].map((each): [string, JobClass] => [jobNameOf(each), each]).concat([ours]),
      );
    } catch {
      return new Map([ours]);
    }
  }
}
