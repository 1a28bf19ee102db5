import { UserError } from '../../core/errors';
import { formatDuration } from '../../support/duration';
import { countText, didYouMean, escapeControls, printableLines } from '../../support/text';
import type { ShownError, ShownJob } from '../admin/job-json';
import { checkRef } from '../sets/query';
import { type Answer, BOTH, type JobCommand, onlyOne } from './command';
import type { Desk } from './desk';
import { argumentsText, fullMoment } from './list';

const STATE: Readonly<Record<string, string>> = {
  waiting: 'waiting',
  active: 'running',
  held: 'held: as many of its class run as may',
  retry: 'failed, to be retried',
  scheduled: 'scheduled',
  dead: 'dead',
};
const LABEL_WIDTH = 12;

export const SHOW: JobCommand = {
  name: 'show',
  operands: [{ name: 'ID' }],
  options: ['queue'],
  needs: BOTH,
  help: 'all that is known of a job: where it is, arguments, errors, tags, progress',
  prepare: ({ operands: [id = ''], options }) => {
    const ref = { id, queue: onlyOne('queue', options.queue) };
    checkRef(ref);
    return (desk) => show(desk, ref);
  },
};

async function show(desk: Desk, ref: { readonly id: string; readonly queue: string | undefined }): Promise<Answer> {
  await desk.checkQueues(ref.queue === undefined ? [] : [ref.queue]);
  const { entry, ahead } = await (await desk.sets()).find(ref);
  if (!entry) throw new UserError(await unknownJob(desk, ref.id));
  const job = desk.view.job(entry);
  return { json: { ...job, ahead: ahead ?? null }, text: jobText(desk, job, ahead) };
}

function jobText(desk: Desk, job: ShownJob, ahead: number | undefined): string {
  const json = (value: unknown) => escapeControls(JSON.stringify(value));
  const rows: [string, string | null][] = [
    ['Job', escapeControls(job.id)],
    ['Class', job.class === null ? null : escapeControls(job.class)],
    ['Queue', job.queue],
    ['State', `${STATE[job.set] ?? job.set}${ahead ? `, behind ${countText(ahead)} others` : ''}`],
    [job.set === 'dead' ? 'Died' : job.set === 'retry' || job.set === 'scheduled' ? 'Runs' : 'Queued', moment(job.at)],
    ['Reason', job.reason === null ? null : escapeControls(job.reason)],
    ['Enqueued', moment(job.enqueued_at)],
    ['Failed runs', String(job.attempts)],
    ['Arguments', job.args === null ? `(${desk.view.reasonForNone(job)})` : argumentsText(job)],
    ['Tags', job.tags.length === 0 ? null : job.tags.map(escapeControls).join(', ')],
    ['Request', job.request_id === null ? null : escapeControls(job.request_id)],
    ['Attributes', job.attributes === null ? null : json(job.attributes)],
    ['Progress', job.progress === null ? null : json(job.progress)],
    ['Unreadable', job.unreadable === null ? null : escapeControls(job.unreadable)],
  ];
  const lines = rows.flatMap(([label, text]) =>
    text === null ? [] : [`${label.padEnd(LABEL_WIDTH)} ${text}`.trimEnd()],
  );
  for (const [index, error] of job.errors.entries()) {
    const which = index === 0 ? 'Latest error' : 'Before it';
    lines.push('', `${which}${runText(error)}`, ...printableLines(error.stack).map((line) => `  ${line}`));
  }
  return `${lines.join('\n')}\n`;
}

function moment(iso: string | null): string | null {
  return iso === null ? null : fullMoment(iso);
}

function runText({ run }: ShownError): string {
  if (!run) return '';
  const took = run.duration_ms === null ? '' : `, after ${formatDuration(run.duration_ms)}`;
  return `: run ${run.attempt}, ${fullMoment(run.at)}${took}, by ${escapeControls(run.process)}`;
}

/** Jobs of each set that a mistyped id is compared with. */
const LOOKED_AT = 500;

/** The id that was probably meant. */
async function closestId(desk: Desk, id: string): Promise<string | undefined> {
  const sets = await desk.sets();
  const request = { limit: LOOKED_AT, count: false };
  const pages = await Promise.all([sets.retry, sets.dead, sets.scheduled].map((set) => set.page(request)));
  const busy = (await desk.processes.list()).flatMap((process) => process.busy);
  const ids = [...pages.flatMap((page) => page.entries), ...busy].map((job) => job.id);
  return didYouMean(id, ids);
}

/** What to say of an id that is nowhere. */
export async function unknownJob(desk: Desk, id: string): Promise<string> {
  const near = await closestId(desk, id);
  const meant = near === undefined ? '' : ` Did you mean ${near}?`;
  return `There is no job ${id}: it has ended well, or was deleted, or never was.${meant}`;
}
