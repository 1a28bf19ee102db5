import type Koa from 'koa';
import { ProblemError } from './problem';

/** Something the process cannot serve without. `check` rejects when it does not answer. */
export interface ReadinessCheck {
  readonly name: string;
  readonly check: () => Promise<unknown>;
}

/** Something that does not work, and what an operator can do about it where it does not mend itself. */
export interface Degradation {
  readonly name: string;
  readonly advice?: string;
}

export interface HealthOptions {
  readonly appName: string;
  readonly readiness: readonly ReadinessCheck[];
  /** What does not work while the process can serve all the same. Default: nothing. */
  readonly degraded?: () => readonly Degradation[] | Promise<readonly Degradation[]>;
  /** True once the process has been asked to go. */
  readonly isLeaving: () => boolean;
}

/** How long a check may take, ms. */
const ANSWER_MS = 1000;
const METHODS = ['GET', 'HEAD', 'OPTIONS'];

/** `/health`: the process is alive. `/ready`: it can serve. Both stand before the limit, so that they never wait. */
export function health({ appName, readiness, isLeaving, degraded = () => [] }: HealthOptions): Koa.Middleware {
  // Any number of probes at once cost one round of checks.
  let round: Promise<string[]> | undefined;
  const failing = () => {
    round ??= namesOfFailing(readiness).finally(() => {
      round = undefined;
    });
    return round;
  };

  return (ctx, next) => (ctx.path === '/health' || ctx.path === '/ready' ? answer(ctx) : next());

  async function answer(ctx: Koa.Context): Promise<void> {
    ctx.beside = true;
    const headers = { Allow: METHODS.join(', ') };
    if (!METHODS.includes(ctx.method)) throw new ProblemError(405, { headers });
    ctx.set('Cache-Control', 'no-store');
    if (ctx.method === 'OPTIONS') {
      ctx.set(headers);
      ctx.status = 204;
      return;
    }
    if (ctx.path === '/ready') await assertReady();
    const missing = ctx.path === '/ready' ? await degraded() : [];
    const broken = missing.map(({ name }) => name);
    const advice = missing.flatMap(({ advice: text }) => text ?? []);
    ctx.body = {
      status: broken.length > 0 ? 'degraded' : 'ok',
      app: appName,
      ...(broken.length > 0 && { broken }),
      ...(advice.length > 0 && { advice }),
    };
  }

  async function assertReady(): Promise<void> {
    if (isLeaving()) throw notReady('This process is shutting down.', []);
    const down = await failing();
    if (down.length > 0) throw notReady(`Not answering: ${down.join(', ')}.`, down);
  }
}

function notReady(detail: string, down: readonly string[]): ProblemError {
  return new ProblemError(503, { detail, extensions: { down }, headers: { 'Retry-After': '2' } });
}

async function namesOfFailing(checks: readonly ReadinessCheck[]): Promise<string[]> {
  const answers = await Promise.all(checks.map(({ check }) => answersInTime(check)));
  return checks.filter((_check, index) => !answers[index]).map(({ name }) => name);
}

async function answersInTime(check: () => Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ANSWER_MS);
  });
  const answer = (async () => {
    await check();
    return true;
  })().catch(() => false);
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
