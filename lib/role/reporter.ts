import type { Operations } from '../cluster/status';
import type { Config } from '../core/config';
import type { Database } from '../model/database';
import type { Deadline } from '../support/async';
import type { Service } from '../support/service';
import type { TreeReporter, TreeReporterOptions } from '../tree/tree-reporter';
import type { AppDefinition } from './app-definition';

/**
 * The tree's reporter, if this process is appointed: its modules load then, since all but one process never need them.
 * In production it also warns, once, of what is wrong with the deploy of the whole tree.
 */
export class AppointedReporter implements Service {
  readonly name = 'tree reporter';
  private appointed: Promise<TreeReporter> | undefined;

  constructor(
    private readonly app: AppDefinition,
    private readonly config: Config,
    private readonly options: Omit<TreeReporterOptions, 'tree' | 'database'> & {
      readonly tree: () => Promise<Operations>;
      readonly database: Database;
    },
  ) {}

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
    const tree = await this.options.tree();
    if (this.config.environment === 'production') void this.warn(tree).catch(() => undefined);
    return new TreeReporter({ ...this.options, tree });
  }

  private async warn(tree: Operations): Promise<void> {
    const { app, config, options } = this;
    const { warnOfPendingMigrations, warnOfPlannedConnections } = await import('./deploy-warnings');
    const { id: treeId } = await tree.status();
    await Promise.all([
      warnOfPendingMigrations(app, options),
      warnOfPlannedConnections({ ...options, config, treeId }),
    ]);
  }
}
