import { Redactor } from '../../core/redact';
import type { JobJsonRules } from '../../job/admin/job-json';
import type { JobClass } from '../../job/definition/job-class';
import { effectiveName } from '../../job/definition/options';
import { DeliverMailJob } from '../../mailer/deliver-mail-job';
import type { PageContext } from '../ui/page-types';

/** The app's job classes, which decide how arguments are redacted. They are loaded when a page of jobs is first opened. */
export class JobClasses {
  private readonly redactor: Redactor;
  private loading: Promise<void> | undefined;
  private classes: ReadonlyMap<string, JobClass> = new Map([[effectiveName(DeliverMailJob), DeliverMailJob]]);

  constructor(private readonly source: PageContext['jobs']) {
    this.redactor = new Redactor(source.filterArguments);
  }

  get(name: string): JobClass | undefined {
    return this.classes.get(name);
  }

  get rules(): JobJsonRules {
    return { jobs: this, redactor: this.redactor };
  }

  /** Loads them once. When they do not load, no arguments are shown. The job processor logs the reason. */
  load(): Promise<void> {
    this.loading ??= this.source.classes().then(
      (classes) => {
        const loaded = [...classes].map((each): [string, JobClass] => [effectiveName(each), each]);
        // Ours wins over a class of the app with that name.
        this.classes = new Map([...loaded, ...this.classes]);
      },
      () => undefined,
    );
    return this.loading;
  }
}
