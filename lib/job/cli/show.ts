import { UserError } from '../../core/errors';
import { WHOLE } from '../../core/redact';
import { pluralize } from '../../support/counted';
import { formatDuration } from '../../support/duration';
import { escapeControls, printableLines } from '../../support/terminal-text';
import {
  type EndingJson,
  endingJson,
  type JobErrorJson,
  type JobJson,
  jobJson,
  limitJson,
  type WhyRedacted,
} from '../admin/job-json';
import type { SetName } from '../sets/entry';
import type { HeldBy } from '../sets/find-job';
import { checkRef } from '../sets/query';
import { type Answer, type CommandContext, checkQueues, type JobCommand, onlyOne, redactionRules } from './command';
import { argumentsText, fullMoment } from './list';

/** What is said of a set, and what its time is. */
const PLACES: Readonly<Record<SetName, readonly [state: string, time: string]>> = {
  waiting: ['waiting', 'Due'],
  active: ['running', 'Started'],
  blocked: ['blocked by the limit or rate of its class', 'Due'],
  retry: ['failed, to be retried', 'Runs'],
  scheduled: ['scheduled', 'Runs'],
  dead: ['dead', 'Died'],
  finished: ['done, and kept', 'Finished'],
};
const WHY_REDACTED: Readonly<Record<WhyRedacted, (name: string) => string>> = {
  encrypted: () => 'encrypted',
  class: (name) => `not shown: ${name} says logArguments = false`,
  unknown: () => 'not shown: the class is unknown',
  unreadable: () => 'cannot be read',
};
const LABEL_WIDTH = 12;

export const SHOW: JobCommand = {
  name: 'show',
  operands: [{ name: 'ID' }],
  options: ['queue'],
  help: 'all that is known about a job: where it is, arguments, errors, tags, progress, steps, result',
  prepare: ({ operands: [id = ''], options }) => {
    const ref = { id, queue: onlyOne('queue', options.queue) };
    checkRef(ref);
    return (context) => show(context, ref);
  },
};

async function show(
  context: CommandContext,
  ref: { readonly id: string; readonly queue: string | undefined },
): Promise<Answer> {
  await checkQueues(context, ref.queue === undefined ? [] : [ref.queue]);
  const { entry, ahead, held, steps, ending } = await context.admin.find(ref);
  if (!entry) throw new UserError(unknownJob(ref.id));
  const rules = redactionRules(context);
  const job = jobJson(entry, rules, WHOLE);
  const end = endingJson(job, ending, rules, WHOLE);
  const done = steps.map(({ name, at }) => ({ name, at: new Date(at).toISOString() }));
  return {
    json: { ...job, ahead: ahead ?? null, limit: limitJson(job, held), steps: done, ending: end as object | null },
    text: jobText(job, ahead, held, done, end),
  };
}

function jobText(
  job: JobJson,
  ahead: number | undefined,
  held: HeldBy | undefined,
  steps: readonly { readonly name: string; readonly at: string }[],
  end: EndingJson | null,
): string {
  const json = (value: unknown) => escapeControls(JSON.stringify(value));
  const why = job.args_redacted && WHY_REDACTED[job.args_redacted](escapeControls(job.class ?? ''));
  const [place, time] = PLACES[job.set];
  const state = job.set === 'blocked' && !held ? 'waits until no other job of its queue waits' : place;
  const rows: [string, string | null][] = [
    ['Job', escapeControls(job.id)],
    ['Class', job.class === null ? null : escapeControls(job.class)],
    ['Queue', job.queue],
    ['State', `${state}${ahead ? `, behind ${pluralize(ahead, 'other')}` : ''}`],
    ['Priority', job.priority === 0 ? null : String(job.priority)],
    ['Limit', held ? limitText(job, held) : null],
    ['Thread', job.thread_mb === null ? null : `a heap of ${job.thread_mb} MB at most`],
    [time, moment(job.at)],
    ['Cancelled', job.cancel_requested === null ? null : askedText(job.cancel_requested)],
    ['Reason', job.reason === null ? null : escapeControls(job.reason)],
    ['Enqueued', moment(job.enqueued_at)],
    ['Expires', moment(job.expires_at)],
    ['Failed runs', String(job.attempts)],
    ['Arguments', why === null ? argumentsText(job) : `(${why})`],
    ['Tags', job.tags.length === 0 ? null : job.tags.map(escapeControls).join(', ')],
    ['Request', job.request_id === null ? null : escapeControls(job.request_id)],
    ['Attributes', job.attributes === null ? null : json(job.attributes)],
    ['Progress', job.progress === null ? null : json(job.progress)],
    ...steps.map(({ name, at }): [string, string] => ['Step done', `${escapeControls(name)}, ${fullMoment(at)}`]),
    ['Result', end && (end.result_missing === null ? json(end.result) : `(${escapeControls(end.result_missing)})`)],
    ['Run', end?.run ? runText({ run: end.run }).slice(2) : null],
    ['Unreadable', job.unreadable === null ? null : escapeControls(job.unreadable)],
  ];
  const lines = rows.flatMap(([label, text]) =>
    text === null ? [] : [`${label.padEnd(LABEL_WIDTH)} ${text}`.trimEnd()],
  );
  if (end && end.log.length > 0)
    lines.push(
      '',
      'Log',
      ...end.log.map(
        ({ at, text, fields }) => `  ${at} ${escapeControls(text)}${fields === null ? '' : ` ${json(fields)}`}`,
      ),
      ...(end.log_left_out > 0 ? [`  and ${pluralize(end.log_left_out, 'more line')}, which had no room`] : []),
    );
  for (const [index, error] of job.errors.entries()) {
    const which = index === 0 ? 'Latest error' : 'Before it';
    lines.push('', `${which}${runText(error)}`, ...printableLines(error.stack ?? '').map((line) => `  ${line}`));
  }
  return `${lines.join('\n')}\n`;
}

function askedText(reason: string): string {
  return `asked to end${reason === '' ? '' : `: ${escapeControls(reason)}`}`;
}

/** A class whose arguments are not shown has keys that are not shown either. */
function limitText(job: JobJson, { key, running, ahead, usedUntil }: HeldBy): string {
  const of = key === undefined ? '' : job.args_redacted ? 'its key: ' : `key ${escapeControls(key)}: `;
  const until = usedUntil ? `, its rate is used until ${fullMoment(usedUntil.toISOString())}` : '';
  return `${of}${running} running, ${ahead} held before it${until}`;
}

function moment(iso: string | null): string | null {
  return iso === null ? null : fullMoment(iso);
}

function runText({ run }: Pick<JobErrorJson, 'run'>): string {
  if (!run) return '';
  const took = run.duration_ms === null ? '' : `, after ${formatDuration(run.duration_ms)}`;
  return `: run ${run.attempt}, ${fullMoment(run.at)}${took}, by ${escapeControls(run.process)}`;
}

export function unknownJob(id: string): string {
  return `There is no job ${id}: it has succeeded, was discarded, cancelled or deleted, or never existed.`;
}
