import type { Tree } from '../../cluster/status';
import type { Config } from '../../core/config';
import type { Database } from '../../model/database';
import type { Alerter } from '../../ops/alerts/alerter';
import type { Statsd } from '../../ops/metrics/statsd';
import type { ServiceGroup } from '../../support/service';
import type { TreeReporter, TreeReporterOptions } from '../../tree/tree-reporter';
import { type AppDefinition, findMigrations } from '../app/app-definition';
import { loadMailSetup } from '../app/load-parts';

type Appointed = TreeReporter | Alerter | Statsd;

interface ReporterOptions extends Omit<TreeReporterOptions, 'tree' | 'database'> {
  readonly app: AppDefinition;
  readonly config: Config;
  readonly database: Database;
  readonly tree: () => Promise<Tree>;
  /** The reporter is added to these, and stopped with them. */
  readonly services: ServiceGroup;
}

/**
 * The tree's reporter, if this process is appointed. Its modules load only then, since all but one process never need them. In
 * production it also warns, once, about pending migrations and too many connections. It tells operators of issues, and sends
 * metrics, where a setting says where to.
 */
export class AppointedReporter {
  private appointed: Promise<readonly Appointed[]> | undefined;

  constructor(private readonly options: ReporterOptions) {}

  /** @param on false: another process reports from now on. */
  async appoint(on: boolean): Promise<void> {
    if (on) this.appointed ??= this.load();
    for (const each of (await this.appointed) ?? []) each.appoint(on);
  }

  /** @returns none when this process stops meanwhile. */
  private async load(): Promise<readonly Appointed[]> {
    const { TreeReporter } = await import('../../tree/tree-reporter');
    const tree = await this.options.tree();
    const reporter = new TreeReporter({ ...this.options, tree });
    if (!(await this.options.services.add(reporter))) return [];
    if (this.options.config.environment === 'production') void this.warn(tree).catch(() => undefined);
    const { app, config } = this.options;
    const appointed: Appointed[] = [reporter];
    if (config.alerts !== null) {
      const { Alerter } = await import('../../ops/alerts/alerter');
      const { deliveryMethods } = config.alerts.mail.length > 0 ? await loadMailSetup(app) : {};
      const alerter = new Alerter({ ...this.options, tree, deliveryMethods });
      if (await this.options.services.add(alerter)) appointed.push(alerter);
    }
    if (config.statsdUrl !== null) {
      const { Statsd } = await import('../../ops/metrics/statsd');
      const statsd = new Statsd({ ...this.options, tree });
      if (await this.options.services.add(statsd)) appointed.push(statsd);
    }
    return appointed;
  }

  private async warn(tree: Tree): Promise<void> {
    const { deployWarnings } = await import('./deploy-warnings');
    const { id: treeId } = await tree.status();
    const migrations = findMigrations(this.options.app);
    for (const message of await deployWarnings({ ...this.options, migrations, treeId }))
      this.options.events.emit('process.warning', { message });
  }
}
