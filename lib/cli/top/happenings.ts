import type { RecentEvent } from '../../cluster/recent-events';
import { processorsOf, told, type WorkInFlight } from '../../cluster/stats';
import type { Death } from '../../cluster/tree-picture';
import { countOf } from '../../support/count-text';
import { valueIn } from '../../verdict/source';
import { time } from './figures';
import { chosenFrom } from './processes';
import { type Line, line, type View } from './view';

/** What is in flight in the chosen worker, then in the job processor; the longest first. */
export function inFlight({ picture, selected }: View, most: number): Line[] {
  if (!picture) return [];
  const { single } = picture.stats;
  const chosen = chosenFrom(picture)[selected];
  const web = chosen ? told(chosen.last_status) : single;
  const lines = [
    ...works(chosen ? `web ${chosen.index}` : 'primary', web?.in_flight ?? []),
    ...works(
      'jobs',
      processorsOf(picture.stats).flatMap(({ last_status }) => told(last_status)?.in_flight ?? []),
    ),
  ];
  return lines.length === 0 ? [] : [line('  in flight', 'faint'), ...lines.slice(0, most - 1)];
}

function works(where: string, list: readonly WorkInFlight[]): Line[] {
  return list
    .toSorted((a, b) => b.ageMs - a.ageMs)
    .map(({ what, ageMs }) => line(`  ${where.padEnd(8)} ${time(ageMs).padStart(8)}  ${what}`));
}

/** Last words of those that died and are not back yet, then what has happened, newest first. */
export function happenings({ picture, stores }: View, most: number): Line[] {
  if (!picture) return [];
  const dead = [
    ...picture.slots.map(({ index, death, nextTry }) => ({ who: `worker ${index}`, death, nextTry })),
    { who: 'the job processor', ...picture.processor },
  ];
  const acts = (stores.sighting && valueIn(stores.sighting.acts)) ?? [];
  const events = [...picture.events, ...acts].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const lines = [
    ...dead.flatMap(({ who, death, nextTry }) => (death && nextTry ? [lastWords(who, death, nextTry.attempt)] : [])),
    ...events.map((event) => line(`  ${clock(event.at)}  ${sentence(event)}`)),
  ];
  return lines.length === 0 ? [] : [line('  happened', 'faint'), ...lines.slice(0, most - 1)];
}

function lastWords(who: string, { at, words, doing }: Death, attempt: number): Line {
  const what = doing === null ? '' : `, doing ${doing}`;
  return line(`! ${clock(at)}  ${who} died${what} (try ${attempt} is next): ${words}`, 'bad');
}

function clock(at: string): string {
  return new Date(at).toTimeString().slice(0, 8);
}

type About = RecentEvent['about'];

const SERVICES: Readonly<Record<string, string>> = { redis: 'Redis', postgres: 'Postgres' };

const SENTENCES: Partial<Record<RecentEvent['name'], (about: About) => string>> = {
  'primary.listening': ({ address }) => `listening on ${address}`,
  'worker.ready': ({ slot, durationMs }) => `worker ${slot} is ready, in ${durationMs} ms`,
  'worker.exited': (about) => `worker ${about.slot} ${ending(about)}`,
  'worker.replaced': ({ slot, reason }) => `worker ${slot} is replaced (${reason})`,
  'worker.silent': ({ slot, silentMs }) => `worker ${slot} was not heard of for ${silentMs} ms`,
  'processor.ready': ({ durationMs }) => `the job processor is ready, in ${durationMs} ms`,
  'processor.exited': (about) => `the job processor ${ending(about)}`,
  'processor.silent': ({ silentMs }) => `the job processor was not heard of for ${silentMs} ms`,
  'processor.kept': ({ reason }) => `the successor of the job processor cannot boot, the old one goes on: ${reason}`,
  'processor.circuit': ({ deaths }) => `the job processor died ${deaths} times in a row: tried rarely from now on`,
  'processor.stopped': () => 'the job processor was stopped by order',
  'phase.started': ({ phase }) => `phased restart to phase ${phase}`,
  'phase.completed': ({ phase, durationMs }) => `phase ${phase} is complete, in ${durationMs} ms`,
  'phase.abandoned': ({ phase, reason }) => `phase ${phase} was given up: ${reason}`,
  'memory.high': ({ totalMb, slot }) => `the tree takes ${Math.round(Number(totalMb))} MB: worker ${slot} is recycled`,
  'embedded.lost': ({ server }) => `the embedded ${server} ended by itself`,
  'installation.foreign': () =>
    'this database was copied from another installation: none of its jobs is dispatched until catamount jobs adopt',
  'dead.dropped': ({ queue, count, reason }) =>
    `${count} dead jobs of ${queue} were dropped for good (${reason === 'age' ? 'dead for 180 days' : 'only 10,000 are kept'})`,
  'redis.emptied': () => 'Redis has lost its data: the outbox is dispatched again, anything else is gone',
  'queue.restored': ({ queue, count }) => `Redis had lost the place of ${count} jobs of ${queue}: put back`,
  'service.away': ({ service, why }) => `${SERVICES[String(service)]} does not answer: ${why}`,
  'service.back': ({ service, awayMs }) => `${SERVICES[String(service)]} answers again, after ${time(Number(awayMs))}`,
  'operator.jobs': ({ action, count, set, via }) =>
    `${action} ${countOf(Number(count), `${set} job`)}, asked by ${via}`,
  'operator.queue': ({ action, queue, jobs, via }) =>
    `${action} queue ${queue}${action === 'clear' ? `, ${countOf(Number(jobs), 'job')} deleted` : ''}, asked by ${via}`,
  'operator.cron': ({ action, name, via }) => `${action} recurring job ${name}, asked by ${via}`,
  'operator.process': ({ process, order, via }) => `job processor ${process} is to ${order}, asked by ${via}`,
  'operator.mails': ({ action, count, via }) =>
    `${action === 'test' ? 'send a test mail' : `delete ${countOf(Number(count), 'mail')}`}, asked by ${via}`,
  'operator.adopted': ({ via }) => `adopt the database's jobs, asked by ${via}`,
  'operator.command': ({ command, via }) => `asked to ${command} by ${via}`,
  'operator.refused': ({ command, reason }) => `${command} was refused: ${reason}`,
};

function sentence({ name, about }: RecentEvent): string {
  return SENTENCES[name]?.(about) ?? name;
}

function ending({ code, signal }: About): string {
  return signal === null || signal === undefined ? `exited with code ${code}` : `was ended by ${signal}`;
}
