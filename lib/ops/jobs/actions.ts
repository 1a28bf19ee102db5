import type { JobSet } from '../../job/sets/job-set';
import type { JobAction } from '../../job/sets/query';
import { Formatter } from '../ui/format';
import type { OpsContext } from '../ui/page-types';
import { linkWith, localizedProblem } from '../ui/shell';
import { type JobPageContext, type RouteModule, readBack, showOutcome, showPage } from './page-context';
import { countSelected, type JobSelection, readSelection, type SelectedCounts } from './selection';
import { isHarmless, isTyped, mustType, type SetPage } from './set-pages';

/** An action on many jobs stops between two of them after this time, ms, since routers wait for 30 s. */
const MAX_ACTION_MS = 20_000;

/** Why a confirmation does not count, `jobs.confirm.wrong.<why>`. count: another number was typed; more: jobs have come since. */
type Wrong = 'count' | 'more' | undefined;

interface Question {
  /** null offers all actions of the set. */
  readonly action: JobAction | null;
  readonly chosen: JobSelection;
  readonly back: string;
  readonly wrong: Wrong;
}

/** Routes to retry, promote, kill and delete the selected jobs, or all that match a filter. */
export function actionRoutes(page: SetPage): RouteModule {
  const path = `/ops/jobs/${page.name}`;
  return (site) => {
    site.router.get(`${path}/confirm`, async (ctx) => {
      const fields = new URLSearchParams(ctx.querystring);
      const chosen = readSelection(fields, page);
      const action = fields.has('action') ? readAction(fields, page) : null;
      await ask(site, ctx, page, { action, chosen, back: backTo(ctx, path), wrong: undefined });
    });

    site.router.post(`${path}/action`, async (ctx) => {
      const { form } = ctx.state;
      const action = readAction(form, page);
      const chosen = readSelection(form, page);
      const back = readBack(ctx, path);
      const question = { action, chosen, back, wrong: undefined };
      const isPlain = needsNoQuestion(action, chosen);
      if (!isPlain && !isConfirmed(form)) return ask(site, ctx, page, question);
      const wrong = isPlain ? undefined : await whatIsWrong(site, ctx, page, action, chosen);
      // The question that offers several actions has no field for the number, so ask again with it.
      if (wrong === 'count' && !form.has('count')) return ask(site, ctx, page, question);
      if (wrong) return ask(site, ctx, page, { ...question, wrong });
      showOutcome(ctx, back, await act(site, ctx, page, action, chosen));
    });
  };
}

/** True for jobs that were ticked by hand: the operator has seen each. */
function needsNoQuestion(action: JobAction, { refs }: JobSelection): boolean {
  return isHarmless(action) && refs !== undefined;
}

function isConfirmed(form: URLSearchParams): boolean {
  return form.get('confirmed') === '1';
}

async function act(
  site: JobPageContext,
  ctx: OpsContext,
  page: SetPage,
  action: JobAction,
  { selection }: JobSelection,
) {
  const expectedCount = 'ids' in selection ? selection.ids.length : Number(ctx.state.form.get('expected'));
  const options = {
    signal: AbortSignal.timeout(MAX_ACTION_MS),
    ...('filter' in selection && { limit: expectedCount }),
  };
  const { moved, complete } = await site.admin(ctx).act(action, page.name, selection, options);
  return { what: action, moved, asked: expectedCount, complete: complete || moved >= expectedCount };
}

/** Compares the confirmed values with the present jobs. @throws ProblemError 422 when the form has no valid number. */
async function whatIsWrong(
  site: JobPageContext,
  ctx: OpsContext,
  page: SetPage,
  action: JobAction,
  { selection }: JobSelection,
): Promise<Wrong> {
  const { form } = ctx.state;
  const expected = Number(form.get('expected'));
  if (!Number.isSafeInteger(expected) || expected < 1) throw localizedProblem(422, 'stale');
  if (!isTyped(action, expected, form)) return 'count';
  if ('ids' in selection) return undefined;
  const count = await (await site.admin(ctx).set(page.name)).count(selection.filter);
  return count > expected ? 'more' : undefined;
}

async function ask(site: JobPageContext, ctx: OpsContext, page: SetPage, question: Question): Promise<void> {
  const { t } = ctx.state;
  const { action, chosen, wrong } = question;
  const set: JobSet = await site.admin(ctx).set(page.name);
  const selected: SelectedCounts = await countSelected(set, chosen);
  const { count } = selected;
  if (count === 0) throw localizedProblem(409, 'jobsGone');
  if (wrong) ctx.status = 422;
  const n = Formatter.of(ctx).count(count);
  await showPage(site, ctx, 'confirm', {
    title: t(`jobs.confirm.${action ?? 'all'}.question`, { count, what: t(`jobs.${page.name}.some`, { count, n }) }),
    ...question,
    page,
    selected,
    offered: action === null ? page.actions : [action],
    typed: mustType(action, count),
    target: `/ops/jobs/${page.name}/action`,
  });
}

function readAction(fields: URLSearchParams, page: SetPage): JobAction {
  const action = page.actions.find((name) => name === fields.get('action'));
  if (!action) throw localizedProblem(400, 'badAct');
  return action;
}

/** Path of the list that linked to the question, with its filters. */
function backTo(ctx: OpsContext, path: string): string {
  return linkWith(path, ctx.querystring, { all: null, action: null, id: null, asOf: null, locale: null, theme: null });
}
