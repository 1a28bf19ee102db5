import type { JobSet } from '../../job/set/job-set';
import { assertOperator } from '../access/operators';
import type { OpsContext } from '../context';
import { Format } from '../page/format';
import { refusal } from '../page/refusal';
import { type ChosenJobs, readChosen, type Tally, tally } from './chosen-jobs';
import { actOnce, backOf, type JobPages, type JobSite, pathWith, showPage } from './job-site';
import { type ActName, actNames, isHarmless, type SetPage } from './set-pages';

/** From so many jobs on the number must be typed. */
const TYPED_ABOVE = 25;
/** A move ends after this long, between two jobs: routers wait for 30 s, ms. */
const LONGEST_MS = 20_000;
const HOUR_MS = 3_600_000;

/** What is wrong with what was typed; the texts are `jobs.confirm.wrong.<what>`. */
type Wrong = 'count' | 'more' | 'at' | undefined;

interface Question {
  /** null: whichever the set offers. */
  readonly act: ActName | null;
  readonly chosen: ChosenJobs;
  readonly back: string;
  readonly wrong: Wrong;
  /** Of `reschedule`, as it was typed. */
  readonly at: string;
}

/** Retry, run, reschedule, kill, delete: of jobs that are ticked, or of all that match. */
export function actRoutes(page: SetPage): JobPages {
  const path = `/ops/jobs/${page.name}`;
  return (site) => {
    site.router.get(`${path}/confirm`, async (ctx) => {
      assertOperator(ctx);
      const fields = new URLSearchParams(ctx.querystring);
      const chosen = readChosen(fields, page);
      const act = fields.has('act') ? readAct(fields, page) : null;
      await ask(site, ctx, page, { act, chosen, back: backTo(ctx, path), wrong: undefined, at: '' });
    });

    site.router.post(`${path}/act`, async (ctx) => {
      const { form } = ctx.state;
      const act = readAct(form, page);
      const chosen = readChosen(form, page);
      const back = backOf(ctx, path);
      const question = { act, chosen, back, wrong: undefined, at: form.get('at') ?? '' };
      const plain = isHarmless(act) && chosen.refs !== undefined;
      if (!plain && form.get('confirmed') !== '1') return ask(site, ctx, page, question);
      const wrong = plain ? undefined : await whatIsWrong(site, ctx, page, question);
      // From the question that offers several acts: what is to be typed is asked for now.
      if (wrong === 'count' && !form.has('count')) return ask(site, ctx, page, question);
      if (wrong) return ask(site, ctx, page, { ...question, wrong });
      await actOnce(site, ctx, back, () => move(site, ctx, page, question));
    });
  };
}

async function move(site: JobSite, ctx: OpsContext, page: SetPage, { act, chosen, at }: Question) {
  const { selection } = chosen;
  const asked = 'ids' in selection ? selection.ids.length : Number(ctx.state.form.get('expected'));
  const moving = act === null ? undefined : page.acts[act];
  if (!act || !moving) throw refusal(400, 'badAct');
  const options = {
    at: momentOf(at) ?? new Date(),
    signal: AbortSignal.timeout(LONGEST_MS),
    ...('filter' in selection && { limit: asked }),
  };
  const { moved, complete } = await moving(await site.desk.sets(ctx), selection, options);
  return { what: act, moved, asked, complete: complete || moved >= asked };
}

/** Compares what was typed with what there is now. */
async function whatIsWrong(
  site: JobSite,
  ctx: OpsContext,
  page: SetPage,
  { act, chosen, at }: Question,
): Promise<Wrong> {
  const { form } = ctx.state;
  if (act === 'reschedule' && !momentOf(at)) return 'at';
  const expected = Number(form.get('expected'));
  if (!Number.isSafeInteger(expected) || expected < 1) throw refusal(422, 'stale');
  if (isTyped(act, expected) && form.get('count')?.trim() !== String(expected)) return 'count';
  const { selection } = chosen;
  if ('ids' in selection) return undefined;
  const count = await (await site.desk.sets(ctx))[page.set].count(selection.filter);
  return count > expected ? 'more' : undefined;
}

async function ask(site: JobSite, ctx: OpsContext, page: SetPage, question: Question): Promise<void> {
  const { t } = ctx.state;
  const { act, chosen, wrong, at } = question;
  const set: JobSet = (await site.desk.sets(ctx))[page.set];
  const doomed: Tally = await tally(set, chosen);
  const { count } = doomed;
  if (count === 0) throw refusal(409, 'jobsGone');
  if (wrong) ctx.status = 422;
  const n = new Format(ctx.state.locale).count(count);
  const offered = act === null ? actNames(page).filter((name) => name !== 'reschedule') : [act];
  await showPage(site, ctx, 'confirm', {
    title: t(`jobs.confirm.${act ?? 'all'}.question`, { count, what: t(`jobs.${page.name}.some`, { count, n }) }),
    ...question,
    page,
    doomed,
    offered,
    typed: isTyped(act, count),
    action: `/ops/jobs/${page.name}/act`,
    at: at || inAnHour(),
    rescheduleHref: pathWith(ctx, { act: 'reschedule' }),
  });
}

/** What destroys many jobs is confirmed by their number; a retry costs nothing. */
function isTyped(act: ActName | null, count: number): boolean {
  return (act === 'delete' || act === 'kill') && count > TYPED_ABOVE;
}

function readAct(fields: URLSearchParams, page: SetPage): ActName {
  const act = actNames(page).find((name) => name === fields.get('act'));
  if (!act) throw refusal(400, 'badAct');
  return act;
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
  const query = new URLSearchParams(ctx.querystring);
  for (const name of ['all', 'act', 'id', 'asOf', 'locale', 'theme']) query.delete(name);
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}
