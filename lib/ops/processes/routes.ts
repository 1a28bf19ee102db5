import type { RecentEvent } from '../../cluster/recent-events';
import { UserError } from '../../core/errors';
import { TreeList } from '../../tree/tree-list';
import { judge } from '../../verdict/judge';
import type { Sighting } from '../../verdict/lookout';
import { valueIn } from '../../verdict/source';
import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { eventLines } from '../overview/event-lines';
import { patch } from '../overview/live-attributes';
import { missingTree } from '../overview/missing-tree';
import { type SeenTree, seenTrees } from '../overview/seen-tree';
import { machineShape } from '../overview/shapes';
import { chosenTree, hrefOf } from '../overview/tree-strip';
import { Words } from '../overview/words';
import { Deeds } from '../page/deeds';
import { refusal } from '../page/refusal';
import type { PageGroup, Site } from '../site';
import { ACTS, type Act, touchedBy, valuesOf } from './act';
import { processRows } from './process-rows';

const LIST = '/ops/processes';
/** Events that the page shows. */
const EVENTS = 60;

/** What a form here has ordered. The texts are `processes.told.<what>`. */
export interface ProcessDeed {
  readonly what: Act['key'];
  readonly name: string;
  readonly slot: number;
}

/** The processes of a tree, and what an operator can have done to them. */
export const processRoutes: PageGroup = async (site) => {
  const { router } = site;
  const lookout = await site.lookout();
  const deeds = new Deeds<ProcessDeed>(site.redis.client);
  const find = async (ctx: OpsContext): Promise<SeenTree> => findIn(ctx, await lookout.look());
  const findIn = (ctx: OpsContext, sighting: Sighting): SeenTree => {
    const chosen = chosenTree(ctx);
    const judgement = judge(sighting, chosen, site.config.jobs.latencyWarningMs);
    const trees = seenTrees(judgement, sighting, Words.of(ctx));
    const tree = trees.find(({ own, picture }) => (chosen === null ? own : picture.id === chosen));
    if (!tree) throw chosen === null ? refusal(503, 'noPrimary') : missingTree(sighting);
    return tree;
  };

  router.get(LIST, async (ctx) => {
    const sighting = await lookout.look();
    const told = await deeds.told(ctx);
    await showProcesses(site, ctx, { tree: findIn(ctx, sighting), acts: valueIn(sighting.acts), told });
  });

  for (const act of ACTS) {
    const path = `${LIST}/${act.key}`;
    router.get(path, async (ctx) => {
      assertOperator(ctx);
      await confirm(site, ctx, act, await find(ctx));
    });
    router.post(path, async (ctx) => {
      const tree = await find(ctx);
      const slot = slotOf(ctx, act);
      if (!act.fits(tree.picture, slot)) throw refusal(409, 'actGone');
      const deed = { what: act.key, name: tree.picture.name, slot };
      const order = async () => {
        await orderOf(site, ctx, act, tree, slot);
        return deed;
      };
      try {
        const did = site.redis.client.isReady ? await deeds.once(ctx, order) : await order().then(() => '');
        ctx.status = 303;
        const home = hrefOf('/ops', tree.own ? null : tree.picture.id);
        ctx.redirect(did === '' ? home : `${home}${home.includes('?') ? '&' : '?'}did=${did}`);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        ctx.status = 409;
        await confirm(site, ctx, act, tree, error.message);
      }
    });
  }
};

/** The own tree is asked directly, another one through Redis. @throws UserError when the own one refuses. */
async function orderOf(site: Site, ctx: OpsContext, { command }: Act, tree: SeenTree, slot: number): Promise<void> {
  const by = `the operator's pages, ${ctx.ip}`;
  if (tree.own) return site.tree.order(command, slot, by);
  const left = await new TreeList(site.redis.client).tell(tree.picture.id, command, slot, by);
  if (!left) throw refusal(404, 'treeGone');
}

interface Shown {
  readonly tree: SeenTree;
  readonly acts: readonly RecentEvent[] | undefined;
  readonly told: ProcessDeed | undefined;
}

async function showProcesses(site: Site, ctx: OpsContext, { tree, acts, told }: Shown): Promise<void> {
  const { picture, own, silent } = tree;
  const words = Words.of(ctx);
  const rows = processRows(tree, words);
  // What a viewer may not see is left out of these already.
  const events = eventLines(picture.events, words, EVENTS, acts);
  const id = own ? null : picture.id;
  await site.pages.show(
    ctx,
    'processes/processes',
    {
      title: ctx.state.t('processes.title', { name: picture.name }),
      live: hrefOf('/ops/events', id),
      scripts: ['overview.js'],
      patch,
      picture,
      silent,
      rows,
      told,
      shape: machineShape(picture, tree.nodes),
      events,
      acts:
        ctx.state.visitor.role === 'operator' && silent === null
          ? ACTS.filter((act) => !act.slot && act.fits(picture, 0))
          : [],
      operator: ctx.state.visitor.role === 'operator' && silent === null,
      to: (path: string, more = '') => `${hrefOf(path, id)}${more === '' ? '' : `${id === null ? '?' : '&'}${more}`}`,
    },
    {
      id: picture.id,
      name: picture.name,
      app: picture.app,
      host: picture.host,
      address: picture.address,
      versions: picture.stats.versions,
      silent: silent !== null,
      processes: rows,
      events,
    },
  );
}

async function confirm(site: Site, ctx: OpsContext, act: Act, tree: SeenTree, refused?: string): Promise<void> {
  const { picture, own, silent } = tree;
  if (silent !== null) throw refusal(409, 'treeSilent');
  const slot = slotOf(ctx, act);
  if (!act.fits(picture, slot) && refused === undefined) throw refusal(409, 'actGone');
  const values = valuesOf(picture, slot);
  const { t } = ctx.state;
  await site.pages.show(ctx, 'processes/confirm', {
    title: t(`processes.act.${act.key}.question`, values),
    act,
    values,
    touched: touchedBy(act, picture, slot),
    refused,
    action: ctx.url,
    back: hrefOf('/ops', own ? null : picture.id),
  });
}

function slotOf({ query }: OpsContext, { slot }: Act): number {
  if (!slot) return 0;
  if (typeof query.slot === 'string' && /^\d{1,3}$/.test(query.slot)) return Number(query.slot);
  throw refusal(404, 'missing');
}
