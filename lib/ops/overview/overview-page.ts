import { snakeCase } from '../../support/snake-case';
import { chartData, chartsView } from '../charts/charts-view';
import { DeployLog } from '../deploys/deploy-log';
import { readFlash } from '../ui/flash';
import { Formatter } from '../ui/format';
import { livePage } from '../ui/live-page';
import type { OpsContext, PageModule } from '../ui/page-types';
import { linkWith, localizedProblem, redisAway } from '../ui/shell';
import { chosenTree } from './chosen-tree';
import { type OverviewView, overviewView } from './overview-view';
import type { ProcessFlash } from './tree-actions';
import { missingTree } from './tree-health';

const HOME = '/ops';

export const overviewRoutes: PageModule = async (site) => {
  const deploys = new DeployLog(site.knex);
  const statusCollector = await site.statusCollector();
  const look = async (ctx: OpsContext) => {
    const systemStatus = await statusCollector.collect();
    const view = overviewView(systemStatus, chosenTree(ctx), site.config, Formatter.of(ctx));
    if (!view) throw missingTree(systemStatus);
    return view;
  };

  livePage(site, HOME, 'overview/overview', async (ctx, streamed) => {
    const view = await look(ctx);
    const { machine } = view;
    const locals = {
      title: ctx.state.t('overview.title'),
      scripts: ['uPlot.iife.min.js', 'charts.js'],
      view,
      requestId: ctx.requestId,
      to: (path: string, more: Readonly<Record<string, string>> = {}) =>
        linkWith(path, '', { tree: machine && !machine.own ? machine.id : null, ...more }),
      ...(streamed ? { charts: undefined } : await chartsFor(ctx, view)),
      flash: readFlash<ProcessFlash>(ctx),
    };
    return { locals, json: snakeCase(view) };
  });

  const chartsFor = async (ctx: OpsContext, { machine }: OverviewView) => {
    const tree = machine ? { place: machine.place, limitMb: machine.limitMb } : undefined;
    const { latencyWarningMs } = site.config.jobs;
    const marks = async (from: Date) => [
      ...(await deploys.since(from).catch(() => [])).map(({ release, at }) => ({
        at: at.getTime() / 1000,
        label: release,
      })),
      ...(machine?.restarts ?? []).filter(({ at }) => at >= from.getTime() / 1000),
    ];
    const charts = await chartsView({ redis: site.redis, marks }, ctx, tree, latencyWarningMs, Formatter.of(ctx)).catch(
      () => null,
    );
    const chartsAddress = `${HOME}/charts.json${ctx.search}`;
    return { charts, chartsAddress, chartJson: charts && scriptText(chartData(charts)) };
  };

  site.router.get(`${HOME}/charts`, async (ctx) => {
    const view = await look(ctx);
    if (view.redisOff) throw localizedProblem(404, 'redisOff');
    const { charts } = await chartsFor(ctx, view);
    if (!charts) throw redisAway();
    ctx.body = chartData(charts);
  });
};

/** JSON for a script element: `<` is escaped, so that no value can end the element. */
function scriptText(value: object): string {
  return JSON.stringify(value).replace(/</g, '\\u003c');
}
