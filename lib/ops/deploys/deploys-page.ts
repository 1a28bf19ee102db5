import { snakeCase } from '../../support/snake-case';
import type { PageModule } from '../ui/page-types';
import { DeployLog } from './deploy-log';

/** Which deploy made errors rise. */
export const deployRoutes: PageModule = (site) => {
  const log = new DeployLog(site.knex);
  site.router.get('/ops/deploys', async (ctx) => {
    const deploys = await log.list();
    const page = { title: ctx.state.t('deploys.title'), deploys, running: site.config.release };
    await site.layout.show(ctx, 'deploys/deploys', page, snakeCase({ deploys, running: site.config.release }));
  });
};
