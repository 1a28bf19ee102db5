import type { Scene } from '../scene/scene';
import { type Double, doublesOf } from './doubles';
import type { AcceptedChore } from './ledger';
import { settle } from './settle';

/** Whose jobs Redis alone has may be gone with it: told of, and no loss of ours. */
const NOT_YET_RUN_MS = 30_000;

export interface Balance {
  /** What was promised and is not so. */
  readonly losses: readonly string[];
  readonly signedUp: number;
  readonly mails: number;
  readonly chores: number;
  readonly ticks: number;
  /** Jobs that were in Redis only when it lost its data: they went straight there, as they were told to. */
  readonly goneWithRedis: number;
  /** Runs of jobs beyond the first. */
  readonly ranAgain: number;
  readonly doubles: readonly Double[];
}

/** Waits until nothing is on its way, and compares what was promised with what is. */
export async function balance(scene: Scene): Promise<Balance> {
  const { ledger, mails, incidents } = scene;
  const { dead, left } = await settle(scene);
  const received = mails.byReceiver();
  const people = await lookAtPeople(scene, new Set(received.keys()));
  const chores = lookAtChores(scene);
  const ticks = [...scene.book.ticks().keys()];
  const doubles = doublesOf(received, incidents);
  return {
    losses: [
      ...ledger.broken,
      ...scene.platform.gaveUp,
      ...(left === '' ? [] : [`still on its way after three minutes: ${left}`]),
      ...dead.map((job) => `given up: ${job}`),
      ...people,
      ...chores.losses,
      ...missedTicks(ticks),
      ...doubles.filter(({ reason }) => !reason).map(({ to }) => `${to} got a mail twice, and nothing explains it`),
    ],
    signedUp: ledger.users.length,
    mails: mails.entries.length,
    chores: ledger.chores.length,
    ticks: ticks.length,
    goneWithRedis: chores.gone.length,
    ranAgain: chores.ranAgain + ranAgain(scene.book.ticks()),
    doubles,
  };
}

async function lookAtPeople({ ledger, postgres }: Scene, received: ReadonlySet<string>): Promise<string[]> {
  const rows = await postgres.administer<{ email: string; deliveries: number; sent: number }>(
    `select email, count(key)::int as deliveries, count(*) filter (where state = 'sent')::int as sent
     from users left join mail_deliveries on recipients = array[email]
     where email not like '%@ballast.example' group by email`,
  );
  const users = new Map(rows.map((row) => [row.email, row]));
  const known = new Set([...ledger.users.map(({ email }) => email), ...ledger.unsure]);
  return [
    ...ledger.users
      .filter(({ email }) => !users.has(email))
      .map(({ email }) => `${email} was answered 201 and is gone`),
    ...[...users.keys()].filter((email) => !known.has(email)).map((email) => `${email} is there, and nobody signed up`),
    ...[...users.keys()].filter((email) => !received.has(email)).map((email) => `${email} has got no mail`),
    ...[...received].filter((email) => !users.has(email)).map((email) => `${email} got a mail, and is not there`),
    ...rows
      .filter(({ deliveries, sent }) => deliveries !== 1 || sent !== 1)
      .map((row) => `${row.email} has ${row.deliveries} delivery records, ${row.sent} of which say sent`),
  ];
}

function lookAtChores({ ledger, book, incidents }: Scene) {
  const done = book.chores();
  const known = new Set([...ledger.chores.map(({ id }) => id), ...ledger.unsureChores]);
  const undone = ledger.chores.filter(({ id, kind }) => kind !== 'rolled-back' && !done.has(id));
  const losses = incidents.filter(({ kind }) => kind === 'redis lost data');
  const wasInRedis = ({ kind, at }: AcceptedChore) =>
    kind === 'straight' && losses.some((loss) => loss.at > at - 1000 && loss.at < at + NOT_YET_RUN_MS);
  return {
    gone: undone.filter(wasInRedis),
    ranAgain: ranAgain(done),
    losses: [
      ...undone.filter((chore) => !wasInRedis(chore)).map(({ id, kind }) => `job ${id} (${kind}) never ran`),
      ...ledger.chores
        .filter(({ id, kind }) => kind === 'rolled-back' && done.has(id))
        .map(({ id }) => `job ${id} ran, and its transaction was rolled back`),
      ...[...done.keys()].filter((id) => !known.has(id)).map((id) => `job ${id} ran, and nobody asked for it`),
      ...[...book.walks()].flatMap(([id, steps]) => brokenWalk(id, steps)),
    ],
  };
}

/** A step may be taken again when a process dies right after it, and none is left out. */
function brokenWalk(id: number, steps: readonly number[]): string[] {
  const leaps = steps.filter((step, index) => step > (steps[index - 1] ?? -1) + 1);
  return leaps.length > 0 ? [`job ${id} left out a step: ${steps.join(' ')}`] : [];
}

/** Every other second from the first to the last. */
function missedTicks(ticks: readonly string[]): string[] {
  const times = ticks.map((tick) => Date.parse(tick)).sort((a, b) => a - b);
  return times.flatMap((time, index) => {
    const before = times[index - 1] ?? time - 2000;
    return time - before > 2000
      ? [`no tick between ${new Date(before).toISOString()} and ${new Date(time).toISOString()}`]
      : [];
  });
}

function ranAgain(counts: ReadonlyMap<unknown, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count - 1, 0);
}
