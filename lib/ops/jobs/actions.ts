import type { JobSet } from '../../job/sets/job-set';
import { isRef, type JobAction, type JobRef, type Selection } from '../../job/sets/query';
import { assertOperator } from '../auth/access';
import type { OpsContext } from '../ui/context';
import { Formatter } from '../ui/format';
import { linkWith, localizedProblem, reportFailedAction } from '../ui/shell';
import { type Filters, filtersOf, jobFilter, readFilters } from './filters';
import { actOnce, backOf, type JobPageContext, pathWith, type RouteModule, showPage } from './page-context';
import { isHarmless, type SetPage } from './set-pages';

/** An action that destroys more jobs than this asks the operator to type their number. */
const TYPED_ABOVE = 25;
/** An action on many jobs stops between two of them after this time, ms, since routers wait for 30 s. */
const MAX_ACTION_MS = 20_000;
const HOUR_MS = 3_600_000;

/** The field with a wrong value; the texts are `jobs.confirm.wrong.<field>`. */
type Wrong = 'count' | 'more' | 'at' | undefined;

interface Question {
  /** null offers all actions of the set. */
  readonly action: JobAction | null;
  readonly chosen: JobSelection;
  readonly back: string;
  readonly wrong: Wrong;
  /** The time for `reschedule`, as typed. */
  readonly at: string;
}

/**
 * Routes to retry, promote, reschedule, kill and delete the selected jobs, or all that match a filter. Only operators
 * get here: `auth/access` rejects the forms of others.
 */
export function actionRoutes(page: SetPage): RouteModule {
  const path = `/ops/jobs/${page.name}`;
  return (site) => {
    site.router.get(`${path}/confirm`, async (ctx) => {
      assertOperator(ctx);
      const fields = new URLSearchParams(ctx.querystring);
      const chosen = readChosen(fields, page);
      const action = fields.has('action') ? readAction(fields, page) : null;
      await ask(site, ctx, page, { action, chosen, back: backTo(ctx, path), wrong: undefined, at: '' });
    });

    site.router.post(`${path}/action`, reportFailedAction(site, actionOf(page)), async (ctx) => {
      const { form } = ctx.state;
      const action = readAction(form, page);
      const chosen = readChosen(form, page);
      const back = backOf(ctx, path);
      const question = { action, chosen, back, wrong: undefined, at: form.get('at') ?? '' };
      const plain = isPlain(action, chosen);
      if (!plain && !isConfirmed(form)) return ask(site, ctx, page, question);
      const wrong = plain ? undefined : await whatIsWrong(site, ctx, page, question);
      // The question that offers several actions has no field for the number, so ask again with it.
      if (wrong === 'count' && !form.has('count')) return ask(site, ctx, page, question);
      if (wrong) return ask(site, ctx, page, { ...question, wrong });
      // A job that has left the set cannot be moved twice, so this is repeatable.
      await actOnce(site, ctx, back, () => move(site, ctx, page, question), true);
    });
  };
}

/** Reads the action of a form, on the selected jobs or on as many as the question showed. */
function actionOf(page: SetPage) {
  return ({ state: { form } }: OpsContext) => {
    const action = readAction(form, page);
    const chosen = readChosen(form, page);
    if (!isPlain(action, chosen) && !isConfirmed(form)) return undefined;
    const count = chosen.refs?.length ?? Number(form.get('expected'));
    return { command: `${action} jobs`, of: page.name, count } as const;
  };
}

/** True when the action needs no confirmation. */
function isPlain(action: JobAction, { refs }: JobSelection): boolean {
  return isHarmless(action) && refs !== undefined;
}

function isConfirmed(form: URLSearchParams): boolean {
  return form.get('confirmed') === '1';
}

async function move(site: JobPageContext, ctx: OpsContext, page: SetPage, { action, chosen, at }: Question) {
  const { selection } = chosen;
  const asked = 'ids' in selection ? selection.ids.length : Number(ctx.state.form.get('expected'));
  if (!action) throw localizedProblem(400, 'badAct');
  const options = {
    at: momentOf(at) ?? new Date(),
    signal: AbortSignal.timeout(MAX_ACTION_MS),
    ...('filter' in selection && { limit: asked }),
  };
  const { moved, complete } = await site.admin(ctx).act(action, page.name, selection, options);
  return { what: action, moved, asked, complete: complete || moved >= asked };
}

/** Compares the confirmed values with the present jobs. @throws ProblemError 422 when the form has no valid number. */
async function whatIsWrong(
  site: JobPageContext,
  ctx: OpsContext,
  page: SetPage,
  { action, chosen, at }: Question,
): Promise<Wrong> {
  const { form } = ctx.state;
  if (action === 'reschedule' && !momentOf(at)) return 'at';
  const expected = Number(form.get('expected'));
  if (!Number.isSafeInteger(expected) || expected < 1) throw localizedProblem(422, 'stale');
  if (isTyped(action, expected) && form.get('count')?.trim() !== String(expected)) return 'count';
  const { selection } = chosen;
  if ('ids' in selection) return undefined;
  const count = await (await site.admin(ctx).set(page.name)).count(selection.filter);
  return count > expected ? 'more' : undefined;
}

async function ask(site: JobPageContext, ctx: OpsContext, page: SetPage, question: Question): Promise<void> {
  const { t } = ctx.state;
  const { action, chosen, wrong, at } = question;
  const set: JobSet = await site.admin(ctx).set(page.name);
  const selected: SelectedCounts = await countSelected(set, chosen);
  const { count } = selected;
  if (count === 0) throw localizedProblem(409, 'jobsGone');
  if (wrong) ctx.status = 422;
  const n = Formatter.of(ctx).count(count);
  const offered = action === null ? page.actions.filter((name) => name !== 'reschedule') : [action];
  await showPage(site, ctx, 'confirm', {
    title: t(`jobs.confirm.${action ?? 'all'}.question`, { count, what: t(`jobs.${page.name}.some`, { count, n }) }),
    ...question,
    page,
    selected,
    offered,
    typed: isTyped(action, count),
    target: `/ops/jobs/${page.name}/action`,
    at: at || inAnHour(),
    rescheduleHref: pathWith(ctx, { action: 'reschedule' }),
  });
}

/** True when the operator has to type the number of jobs: for destroying many, not for a retry. */
function isTyped(action: JobAction | null, count: number): boolean {
  return (action === 'delete' || action === 'kill') && count > TYPED_ABOVE;
}

function readAction(fields: URLSearchParams, page: SetPage): JobAction {
  const action = page.actions.find((name) => name === fields.get('action'));
  if (!action) throw localizedProblem(400, 'badAct');
  return action;
}

/** Parses the value of a datetime-local field as UTC; undefined when it is invalid. */
function momentOf(text: string): Date | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text)) return undefined;
  const moment = new Date(`${text}Z`);
  return Number.isNaN(moment.getTime()) || !moment.toISOString().startsWith(text) ? undefined : moment;
}

function inAnHour(): string {
  return new Date(Date.now() + HOUR_MS).toISOString().slice(0, 16);
}

/** Path of the list that linked to the question, with its filters. */
function backTo(ctx: OpsContext, path: string): string {
  return linkWith(path, ctx.querystring, { all: null, action: null, id: null, asOf: null, locale: null, theme: null });
}

/** The jobs that a form or a link refers to: single ones, or all that match a filter. */
export interface JobSelection {
  /** Jobs as `queue/id`; undefined selects all that match. */
  readonly refs: readonly string[] | undefined;
  readonly filters: Filters;
  /** Reference of the time filter, ms since 1970. Jobs that died later are not selected. */
  readonly asOf: number;
  readonly selection: Selection;
}

/** Number of jobs by class, the most frequent class first. */
export interface SelectedCounts {
  readonly count: number;
  readonly classes: readonly { readonly name: string; readonly count: number }[];
  /** The classes that are not listed, and the number of their jobs. */
  readonly others: { readonly classes: number; readonly jobs: number };
}

const CLASSES_SHOWN = 3;
/** A question can be answered within this time, ms. */
const QUESTION_TTL_MS = 86_400_000;

/** Reads the selection from the fields. @throws ProblemError 400 or 422 that names the invalid field. */
export function readChosen(fields: URLSearchParams, page: SetPage): JobSelection {
  const filters = readFilters((name) => fields.get(name), filtersOf(page));
  const asOf = readTime(fields.get('asOf'));
  if (fields.get('all') === '1') {
    return { refs: undefined, filters, asOf, selection: { filter: jobFilter(page, filters, asOf, true) } };
  }
  const refs = [...new Set(fields.getAll('id'))];
  const ids = refs.map(readRef).filter((ref) => ref !== undefined);
  if (ids.length === 0) throw localizedProblem(422, 'nothingTicked');
  return { refs, filters, asOf, selection: { ids } };
}

/** Counts the selected jobs in total and by class. */
export async function countSelected(set: JobSet, { selection }: JobSelection): Promise<SelectedCounts> {
  const byClass = new Map<string, number>();
  const add = (name: string | undefined) => byClass.set(name ?? '', (byClass.get(name ?? '') ?? 0) + 1);
  let count: number;
  if ('ids' in selection) {
    const entries = await set.entries(selection.ids);
    for (const entry of entries) add(entry.class);
    count = entries.length;
  } else {
    for (const { name, count: each } of await set.classes(selection.filter)) byClass.set(name, each);
    count = await set.count(selection.filter);
  }
  const all = [...byClass].map(([name, each]) => ({ name, count: each })).sort((a, b) => b.count - a.count);
  const classes = all.length <= CLASSES_SHOWN ? all : all.slice(0, CLASSES_SHOWN - 1);
  const jobs = count - classes.reduce((sum, each) => sum + each.count, 0);
  return { count, classes, others: { classes: all.length - classes.length, jobs } };
}

function readTime(text: string | null): number {
  const now = Date.now();
  if (text === null) return now;
  const time = Number(text);
  if (!/^\d{13}$/.test(text) || time > now || time < now - QUESTION_TTL_MS) throw localizedProblem(422, 'stale');
  return time;
}

/** Parses `queue/id`; undefined when it is invalid. */
function readRef(text: string): Exclude<JobRef, string> | undefined {
  const at = text.indexOf('/');
  const ref = { queue: text.slice(0, Math.max(0, at)), id: text.slice(at + 1) };
  return isRef(ref) ? ref : undefined;
}
