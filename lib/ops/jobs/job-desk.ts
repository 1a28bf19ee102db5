import { CronBoard } from '../../job/cron/cron-board';
import { History } from '../../job/history/history';
import { ProcessList } from '../../job/pulse/process-list';
import { Queues } from '../../job/queue/queues';
import { JobSets } from '../../job/set/job-sets';
import type { SetSources } from '../../job/set/sources';
import type { OpsContext } from '../context';
import type { Site } from '../site';

/** All that the pages of jobs work with. */
export class JobDesk {
  readonly processes: ProcessList;
  readonly history: History;

  constructor(private readonly site: Pick<Site, 'config' | 'redis' | 'knex' | 'events'>) {
    this.processes = new ProcessList(site.redis.client);
    this.history = new History(site.redis.client);
  }

  /** @throws when Redis does not answer. */
  async sets(ctx: Pick<OpsContext, 'ip'>): Promise<JobSets> {
    const queues = await this.queues(ctx).names();
    return new JobSets({ ...this.sources(ctx), queues });
  }

  queues(ctx: Pick<OpsContext, 'ip'>): Queues {
    return new Queues(this.sources(ctx));
  }

  cron(ctx: Pick<OpsContext, 'ip'>): CronBoard {
    return new CronBoard(this.site.knex, this.sources(ctx));
  }

  private sources({ ip }: Pick<OpsContext, 'ip'>): SetSources {
    const { config, redis, knex, events } = this.site;
    const queues = config.jobs.queues.map((queue) => queue.name);
    return { redis: redis.client, knex, events, queues, via: `the operator's pages, ${ip}` };
  }
}
