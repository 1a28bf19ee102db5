import { ProblemError } from '../../web/problem';
import type { OpsContext } from '../context';
import { Deeds } from '../page/deeds';
import { refusal } from '../page/refusal';
import { type ProcessDeed, processRoutes } from '../processes/routes';
import type { PageGroup, Site } from '../site';
import { patch } from './live-attributes';
import { changed, type LiveValues, liveValues } from './live-values';
import { Lookout } from './lookout';
import { type OverviewView, overviewView } from './overview-view';
import { shapesOf } from './shapes';
import { chosenTree, hrefOf } from './tree-strip';
import { Words } from './words';

const HOME = '/ops';
/** At most one message a second. */
const EVERY_MS = 1000;

/** The overview, and its stream. */
export const overviewRoutes: PageGroup = (site) => {
  const lookout = new Lookout(site);
  const deeds = new Deeds<ProcessDeed>(site.redis.client);
  const look = async (ctx: OpsContext) => {
    const view = overviewView(await lookout.look(), chosenTree(ctx), site.config, Words.of(ctx));
    if (!view) throw refusal(404, 'treeGone');
    return view;
  };

  site.router.get(HOME, async (ctx) => {
    const view = await look(ctx);
    const { machine } = view;
    await site.pages.show(
      ctx,
      'overview/overview',
      {
        title: ctx.state.t('overview.title'),
        live: hrefOf(`${HOME}/events`, chosenTree(ctx)),
        scripts: ['overview.js'],
        view,
        told: await deeds.told(ctx),
        patch,
        shapes: shapesOf(view),
        requestId: ctx.requestId,
        to: (path: string) => hrefOf(path, machine && !machine.own ? machine.id : null),
      },
      view,
    );
  });

  site.router.get(`${HOME}/events`, (ctx) => follow(site, ctx, () => look(ctx)));
  processRoutes(lookout, deeds)(site);
};

/** Sends what has changed on the page, again and again. Ends with the tree that it shows. */
function follow(site: Site, ctx: OpsContext, look: () => Promise<OverviewView>): void {
  const { t } = ctx.state;
  const stream = site.streams.begin(ctx);
  const word = (tone: string) => t(`overview.tone.${tone}`);
  let before: LiveValues = {};
  const tell = async () => {
    const view = await look().catch((error: unknown) => {
      // Asked for again, the page says that its tree is gone.
      if (!(error instanceof ProblemError)) throw error;
      stream.send('reload');
      stream.end();
    });
    if (!view) return;
    const values = liveValues(view, word);
    if (stream.send('overview', { values: changed(values, before), shapes: shapesOf(view) })) before = values;
  };
  // What the page was made from is a moment old.
  void tell().catch(() => undefined);
  stream.every(EVERY_MS, tell);
}
