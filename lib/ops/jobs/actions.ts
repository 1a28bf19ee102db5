import type { JobSet } from '../../job/sets/job-set';
import type { JobAction, Selection } from '../../job/sets/query';
import { assertOperator } from '../auth/access';
import type { OpsContext } from '../ui/context';
import { Formatter, linkWith } from '../ui/format';
import { localizedProblem, reportFailedAction } from '../ui/shell';
import { readRef } from './job-view';
import { type Filters, filtersOf, isHarmless, jobFilter, readFilters, type SetPage } from './list-query';
import { actOnce, backOf, type JobPageContext, pathWith, type RouteModule, showPage } from './pages';

/** From so many jobs on the number must be typed. */
const TYPED_ABOVE = 25;
/** A move ends after this long, between two jobs: routers wait for 30 s, ms. */
const LONGEST_MS = 20_000;
const HOUR_MS = 3_600_000;

/** What is wrong with what was typed; the texts are `jobs.confirm.wrong.<what>`. */
type Wrong = 'count' | 'more' | 'at' | undefined;

interface Question {
  /** null: whichever the set offers. */
  readonly action: JobAction | null;
  readonly chosen: JobSelection;
  readonly back: string;
  readonly wrong: Wrong;
  /** Of `reschedule`, as it was typed. */
  readonly at: string;
}

/** Retry, run, reschedule, kill, delete: of jobs that are ticked, or of all that match. */
export function actionRoutes(page: SetPage): RouteModule {
  const path = `/ops/jobs/${page.name}`;
  return (site) => {
    site.router.get(`${path}/confirm`, async (ctx) => {
      assertOperator(ctx);
      const fields = new URLSearchParams(ctx.querystring);
      const chosen = readChosen(fields, page);
      const action = fields.has('act') ? readAction(fields, page) : null;
      await ask(site, ctx, page, { action, chosen, back: backTo(ctx, path), wrong: undefined, at: '' });
    });

    site.router.post(`${path}/act`, reportFailedAction(site, actionOf(page)), async (ctx) => {
      const { form } = ctx.state;
      const action = readAction(form, page);
      const chosen = readChosen(form, page);
      const back = backOf(ctx, path);
      const question = { action, chosen, back, wrong: undefined, at: form.get('at') ?? '' };
      const plain = isPlain(action, chosen);
      if (!plain && !isConfirmed(form)) return ask(site, ctx, page, question);
      const wrong = plain ? undefined : await whatIsWrong(site, ctx, page, question);
      // From the question that offers several acts: what is to be typed is asked for now.
      if (wrong === 'count' && !form.has('count')) return ask(site, ctx, page, question);
      if (wrong) return ask(site, ctx, page, { ...question, wrong });
      // Dead jobs are in Postgres: who has left the set is not there for a second click.
      await actOnce(site, ctx, back, () => move(site, ctx, page, question), page.name === 'dead');
    });
  };
}

/** On the jobs that are ticked, or on as many as the question told. */
function actionOf(page: SetPage) {
  return ({ state: { form } }: OpsContext) => {
    const action = readAction(form, page);
    const chosen = readChosen(form, page);
    if (!isPlain(action, chosen) && !isConfirmed(form)) return undefined;
    const count = chosen.refs?.length ?? Number(form.get('expected'));
    return { command: `${action} jobs`, of: page.name, count } as const;
  };
}

/** It is done without a question. */
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
    signal: AbortSignal.timeout(LONGEST_MS),
    ...('filter' in selection && { limit: asked }),
  };
  const { moved, complete } = await site.admin(ctx).act(action, page.name, selection, options);
  return { what: action, moved, asked, complete: complete || moved >= asked };
}

/** Compares what was typed with what there is now. */
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
  const selected: Tally = await tally(set, chosen);
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
    target: `/ops/jobs/${page.name}/act`,
    at: at || inAnHour(),
    rescheduleHref: pathWith(ctx, { act: 'reschedule' }),
  });
}

/** What destroys many jobs is confirmed by their number; a retry costs nothing. */
function isTyped(action: JobAction | null, count: number): boolean {
  return (action === 'delete' || action === 'kill') && count > TYPED_ABOVE;
}

function readAction(fields: URLSearchParams, page: SetPage): JobAction {
  const action = page.actions.find((name) => name === fields.get('act'));
  if (!action) throw localizedProblem(400, 'badAct');
  return action;
}

/** As a field for date and time gives it, in UTC. */
function momentOf(text: string): Date | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(text)) return undefined;
  const moment = new Date(`${text}Z`);
  return Number.isNaN(moment.getTime()) || !moment.toISOString().startsWith(text) ? undefined : moment;
}

function inAnHour(): string {
  return new Date(Date.now() + HOUR_MS).toISOString().slice(0, 16);
}

/** The list that a link to a question is on. */
function backTo(ctx: OpsContext, path: string): string {
  return linkWith(path, ctx.querystring, { all: null, act: null, id: null, asOf: null, locale: null, theme: null });
}

/** The jobs that a form or a link means: some that are named, or all that match. */
export interface JobSelection {
  /** `queue/id`; undefined: all that match. */
  readonly refs: readonly string[] | undefined;
  readonly filters: Filters;
  /** What the filter for time counts from; dead jobs that died later are not meant. ms since 1970. */
  readonly asOf: number;
  readonly selection: Selection;
}

/** Jobs by class, the most first. */
export interface Tally {
  readonly count: number;
  readonly classes: readonly { readonly name: string; readonly count: number }[];
  /** In all other classes; `jobs` of them. */
  readonly others: { readonly classes: number; readonly jobs: number };
}

/** Jobs are told by their classes up to so many; the rest is counted as others. */
const TOLD = 50_000;
const CLASSES_SHOWN = 3;
/** A question may be answered so much later, ms. */
const PATIENCE_MS = 86_400_000;

/** @throws ProblemError 400 or 422 that says what is wrong with them. */
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

/** How many of them there are now, and of which classes. */
export async function tally(set: JobSet, { selection }: JobSelection): Promise<Tally> {
  const byClass = new Map<string, number>();
  const add = (name: string | undefined) => byClass.set(name ?? '', (byClass.get(name ?? '') ?? 0) + 1);
  let count: number;
  if ('ids' in selection) {
    const entries = await set.entries(selection.ids);
    for (const entry of entries) add(entry.class);
    count = entries.length;
  } else {
    const { jobs, complete } = await set.outlines(selection.filter, TOLD);
    for (const job of jobs) add(job.class);
    count = complete ? jobs.length : await set.count(selection.filter);
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
  if (!/^\d{13}$/.test(text) || time > now || time < now - PATIENCE_MS) throw localizedProblem(422, 'stale');
  return time;
}
