import type { Deadline } from '../support/async';
import type { Service } from '../support/service';
import type { TreeReporter, TreeReporterOptions } from '../tree/tree-reporter';

/** The tree's reporter, if this process is appointed: its modules load then, since all but one process never need them. */
export class AppointedReporter implements Service {
  readonly name = 'tree reporter';
  private appointed: Promise<TreeReporter> | undefined;

  constructor(private readonly options: TreeReporterOptions) {}

  /** It reports nothing before it is appointed. */
  async start(): Promise<void> {}

  /** @param on false: another process reports from now on. */
  async appoint(on: boolean): Promise<void> {
    if (on) this.appointed ??= this.load();
    (await this.appointed)?.appoint(on);
  }

  async stop(deadline: Deadline): Promise<void> {
    await (await this.appointed)?.stop(deadline);
  }

  private async load(): Promise<TreeReporter> {
    const { TreeReporter } = await import('../tree/tree-reporter');
    return new TreeReporter(this.options);
  }
}
