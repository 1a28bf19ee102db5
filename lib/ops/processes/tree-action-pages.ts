import { UserError } from '../../core/errors';
import { judge } from '../../health/judge';
import type { SystemStatus } from '../../health/status-collector';
import { TreeDirectory } from '../../tree/tree-directory';
import { AuditLog } from '../audit/audit-log';
import { chosenTree, linkToTree } from '../overview/chosen-tree';
import { actionValues, type ProcessFlash, TREE_ACTIONS, type TreeAction, touchedBy } from '../overview/tree-actions';
import { assessTrees, missingTree, type TreeHealth } from '../overview/tree-health';
import { redirectWithFlash } from '../ui/flash';
import { Formatter } from '../ui/format';
import { callerOf, type OpsContext, type PageContext, type PageModule } from '../ui/page-types';
import { localizedProblem } from '../ui/shell';

/** The commands that an operator can send to a tree. Each asks for confirmation. */
export const treeActionRoutes: PageModule = async (site) => {
  const { router } = site;
  const statusCollector = await site.statusCollector();
  const find = async (ctx: OpsContext): Promise<TreeHealth> =>
    findIn(ctx, await statusCollector.collect({ trees: 'now' }));
  const findIn = (ctx: OpsContext, systemStatus: SystemStatus): TreeHealth => {
    const chosen = chosenTree(ctx);
    const judgement = judge(systemStatus, chosen, site.config.jobs.latencyWarningMs);
    const trees = assessTrees(judgement, systemStatus, Formatter.of(ctx));
    const tree = trees.find(({ own, treeStatus }) => (chosen === null ? own : treeStatus.id === chosen));
    if (!tree) throw chosen === null ? localizedProblem(503, 'noPrimary') : missingTree(systemStatus);
    return tree;
  };

  for (const action of TREE_ACTIONS) {
    const path = `/ops/processes/${action.key}`;
    router.get(path, async (ctx) => {
      await confirm(site, ctx, action, await find(ctx));
    });
    router.post(path, async (ctx) => {
      const tree = await find(ctx);
      const slot = readSlot(ctx, action);
      if (!action.isAvailable(tree.treeStatus, slot)) throw localizedProblem(409, 'actionGone');
      try {
        await sendCommand(site, ctx, action, tree, slot);
        const flash: ProcessFlash = { what: action.key, name: tree.treeStatus.name, slot };
        redirectWithFlash(ctx, linkToTree('/ops', tree.own ? null : tree.treeStatus.id), flash);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        ctx.status = 409;
        await confirm(site, ctx, action, tree, error.message);
      }
    });
  }
};

/**
 * Sends the command: to this process's own tree directly, to another tree through Redis.
 * @throws UserError when its own tree refuses.
 */
async function sendCommand(
  site: PageContext,
  ctx: OpsContext,
  action: TreeAction,
  tree: TreeHealth,
  slot: number,
): Promise<void> {
  const { command } = action;
  const by = callerOf(ctx);
  if (tree.own) await site.tree.runCommand(command, [slot], by);
  else if (!(await new TreeDirectory(site.redis.client).send(tree.treeStatus.id, command, slot, by)))
    throw localizedProblem(404, 'treeGone');
  new AuditLog(site.knex, site.events).record('operator.command', {
    command: action.slot ? `${command} ${slot}` : command,
    via: by,
  });
}

async function confirm(
  site: PageContext,
  ctx: OpsContext,
  action: TreeAction,
  tree: TreeHealth,
  refused?: string,
): Promise<void> {
  const { treeStatus, own, unresponsiveFor } = tree;
  if (unresponsiveFor !== null) throw localizedProblem(409, 'treeUnresponsive');
  const slot = readSlot(ctx, action);
  if (!action.isAvailable(treeStatus, slot) && refused === undefined) throw localizedProblem(409, 'actionGone');
  const values = actionValues(treeStatus, slot);
  const { t } = ctx.state;
  await site.layout.show(ctx, 'processes/confirm', {
    title: t(`processes.actions.${action.key}.question`, values),
    action,
    values,
    touched: touchedBy(action, treeStatus, slot),
    refused,
    target: ctx.url,
    back: linkToTree('/ops', own ? null : treeStatus.id),
  });
}

function readSlot({ query }: OpsContext, { slot }: TreeAction): number {
  if (!slot) return 0;
  if (typeof query.slot === 'string' && /^\d{1,3}$/.test(query.slot)) return Number(query.slot);
  throw localizedProblem(404, 'missing');
}
