import { snakeCase } from '../../support/snake-case';
import { chartData, chartsView } from '../charts/charts-view';
import type { OpsContext, PageModule } from '../ui/context';

import { FlashStore } from '../ui/flash';
import { Formatter } from '../ui/format';
import { localizedProblem } from '../ui/shell';
import { chosenTree, linkToTree } from './chosen-tree';

import { streamParts } from './live-parts';
import { type OverviewView, overviewView } from './overview-view';
import type { ProcessFlash } from './tree-actions';
import { missingTree } from './tree-health';

const HOME = '/ops';

/** Routes of the overview and its stream. */
export const overviewRoutes: PageModule = async (site) => {
  const statusCollector = await site.statusCollector();
  const flashes = new FlashStore<ProcessFlash>(site);
  const look = async (ctx: OpsContext) => {
    const systemStatus = await statusCollector.collect();
    const view = overviewView(systemStatus, chosenTree(ctx), site.config, Formatter.of(ctx));
    if (!view) throw missingTree(systemStatus);
    return view;
  };

  const locals = (ctx: OpsContext, view: OverviewView) => {
    const { machine } = view;
    const to = (path: string) => linkToTree(path, machine && !machine.own ? machine.id : null);
    return { title: ctx.state.t('overview.title'), view, requestId: ctx.requestId, to };
  };

  site.router.get(HOME, async (ctx) => {
    const view = await look(ctx);
    const shown = {
      ...locals(ctx, view),
      live: linkToTree(`${HOME}/events`, chosenTree(ctx)),
      scripts: ['overview.js', 'uPlot.iife.min.js', 'charts.js'],
      ...(await chartsFor(ctx, view)),
      flash: await flashes.flash(ctx),
    };
    await site.layout.show(ctx, 'overview/overview', shown, snakeCase(view));
  });

  const chartsFor = async (ctx: OpsContext, { machine }: OverviewView) => {
    const tree = machine ? { place: machine.place, limitMb: machine.limitMb } : undefined;
    const { latencyWarningMs } = site.config.jobs;
    const charts = await chartsView(site.redis, ctx, tree, latencyWarningMs, Formatter.of(ctx)).catch(() => null);
    const chartsAddress = `${HOME}/charts.json${ctx.search}`;
    return { charts, chartsAddress, chartJson: charts && scriptText(chartData(charts)) };
  };

  site.router.get(`${HOME}/charts`, async (ctx) => {
    const view = await look(ctx);
    if (view.redisOff) throw localizedProblem(404, 'redisOff');
    const { charts } = await chartsFor(ctx, view);
    if (!charts) throw localizedProblem(503, 'away', { values: { who: 'Redis' }, headers: { 'Retry-After': '2' } });
    ctx.body = chartData(charts);
  });

  site.router.get(`${HOME}/events`, (ctx) =>
    streamParts(site, ctx, async () => {
      const shown = { ...locals(ctx, await look(ctx)), charts: undefined, flash: undefined };
      return site.layout.part(ctx, 'overview/overview', shown);
    }),
  );
};

/** JSON for a script element: `<` is escaped, so that no value can end the element. */
function scriptText(value: object): string {
  return JSON.stringify(value).replace(/</g, '\\u003c');
}
