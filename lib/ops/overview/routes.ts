import type { OpsContext } from '../context';
import type { PageGroup, Site } from '../site';
import { patch } from './live-attributes';
import { changed, type LiveValues, liveValues } from './live-values';
import { Lookout } from './lookout';
import { overviewView } from './overview-view';
import { shapesOf } from './shapes';
import { Words } from './words';

const HOME = '/ops';
/** At most one message a second. */
const EVERY_MS = 1000;

/** The overview, and its stream. */
export const overviewRoutes: PageGroup = (site) => {
  const lookout = new Lookout(site);
  const viewFor = async (ctx: OpsContext) => overviewView(await lookout.look(), site.config, Words.of(ctx));

  site.router.get(HOME, async (ctx) => {
    const { t } = ctx.state;
    const view = await viewFor(ctx);
    const json = ctx.state.json ? view : undefined;
    await site.pages.show(
      ctx,
      'overview/overview',
      {
        title: t('overview.title'),
        live: eventsAddress(ctx),
        scripts: ['overview.js'],
        view,
        patch,
        shapes: shapesOf(view),
        requestId: ctx.requestId,
        to: (path: string) => path,
      },
      json,
    );
  });

  site.router.get(`${HOME}/events`, (ctx) => follow(site, ctx, () => viewFor(ctx)));
};

function follow(site: Site, ctx: OpsContext, look: () => Promise<ReturnType<typeof overviewView>>): void {
  const { t } = ctx.state;
  const stream = site.streams.begin(ctx);
  const word = (tone: string) => t(`overview.tone.${tone}`);
  let before: LiveValues = {};
  const tell = async () => {
    const view = await look();
    const values = liveValues(view, word);
    const message = { values: changed(values, before), shapes: shapesOf(view), at: view.at };
    if (stream.send('overview', message)) before = values;
  };
  // What the page was made from is a moment old.
  void tell().catch(() => undefined);
  stream.every(EVERY_MS, tell);
}

function eventsAddress({ querystring }: OpsContext): string {
  return `${HOME}/events${querystring === '' ? '' : `?${querystring}`}`;
}
