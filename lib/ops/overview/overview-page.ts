import { snakeCase } from '../../support/snake-case';
import { ProblemError } from '../../web/context';
import { chartData, chartsView } from '../charts/charts-view';
import type { OpsContext, PageContext, PageModule } from '../ui/context';
import { sendCounts } from '../ui/event-stream';

import { FlashStore } from '../ui/flash';
import { Formatter } from '../ui/format';
import { localizedProblem } from '../ui/shell';
import { chosenTree, linkToTree } from './chosen-tree';

import { layoutFingerprints, liveValues, patch, SentValues } from './live-update';
import { type OverviewView, overviewView } from './overview-view';
import type { ProcessFlash } from './tree-actions';
import { missingTree } from './tree-health';

const HOME = '/ops';
/** Interval of updates, ms. */
const EVERY_MS = 1000;

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

  site.router.get(HOME, async (ctx) => {
    const view = await look(ctx);
    const { machine } = view;
    await site.layout.show(
      ctx,
      'overview/overview',
      {
        title: ctx.state.t('overview.title'),
        live: linkToTree(`${HOME}/events`, chosenTree(ctx)),
        scripts: ['overview.js', 'uPlot.iife.min.js', 'charts.js'],
        view,
        ...(await chartsFor(ctx, view)),
        flash: await flashes.flash(ctx),
        patch,
        fingerprints: layoutFingerprints(view),
        requestId: ctx.requestId,
        to: (path: string) => linkToTree(path, machine && !machine.own ? machine.id : null),
      },
      snakeCase(view),
    );
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

  site.router.get(`${HOME}/events`, (ctx) => follow(site, ctx, () => look(ctx)));
};

/** JSON for a script element: `<` is escaped, so that no value can end the element. */
function scriptText(value: object): string {
  return JSON.stringify(value).replace(/</g, '\\u003c');
}

/** Streams the changes of the page until its tree is gone. */
function follow(site: PageContext, ctx: OpsContext, look: () => Promise<OverviewView>): void {
  const { t } = ctx.state;
  const stream = site.streams.begin(ctx);
  const word = (tone: string) => t(`overview.tone.${tone}`);
  const shown = new SentValues();
  const format = Formatter.of(ctx);
  const tell = async () => {
    await sendCounts(stream, site, format);
    const view = await look().catch((error: unknown) => {
      // The reloaded page says that its tree is gone (404). A tree that is only out of reach may come back.
      if (!(error instanceof ProblemError) || error.status !== 404) throw error;
      stream.send('reload');
      stream.end();
    });
    if (!view) return;
    const values = liveValues(view, word);
    const news = shown.newOf(values);
    if (stream.send('overview', { values: news, fingerprints: layoutFingerprints(view) })) shown.note(values, news);
  };
  // The rendered page is already a moment old, so the first update is sent at once.
  void tell().catch(() => undefined);
  stream.every(EVERY_MS, tell);
}
