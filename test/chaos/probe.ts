import { until } from '../support/until';
import type { Scene } from './scene/scene';

const PATIENCE_MS = 90_000;

/** How long each thing took that shows that all is well, ms. */
export type Recovery = Readonly<Record<'ready' | 'a sign-up' | 'a job' | 'its mail', number>>;

/** Resolves once somebody new signs up and gets a mail, and a job runs. @throws Error after a minute and a half. */
export async function allIsWell(scene: Scene): Promise<Recovery> {
  const { platform, traffic, book, mails } = scene;
  const asked = { timeoutMs: PATIENCE_MS, everyMs: 200 };
  const times = [performance.now()];
  const done = () => times.push(performance.now());
  await platform.ready();
  done();
  const email = await until('a sign-up is answered 201', () => traffic.signUps.signUp(), asked);
  done();
  const chore = await until('a job is accepted', () => traffic.chores.enqueue('outbox'), asked);
  await until(`job ${chore} has run`, () => book.chores().has(chore), asked);
  done();
  await until(`${email} has got a mail`, () => mails.entries.some(({ to }) => to === email), asked);
  done();
  const [ready = 0, signUp = 0, job = 0, mail = 0] = times.slice(1).map((time, n) => time - (times[n] ?? time));
  return { ready, 'a sign-up': signUp, 'a job': job, 'its mail': mail };
}
