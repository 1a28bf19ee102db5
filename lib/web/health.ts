import type Koa from 'koa';
import { valueWithin } from '../support/deadline';
import { toError } from '../support/to-error';
import { ProblemError } from './context';
import type { HealthOptions, Probes, ReadinessCheck } from './options';

/** Timeout of one check, ms. */
const ANSWER_MS = 1000;
const HEALTH_METHODS = ['GET', 'HEAD', 'OPTIONS'];

export function probePaths({ health = '/health', ready = '/ready' }: Probes = {}): Required<Probes> {
  return { health, ready };
}

/**
 * Answers `/health` (the process is alive) and `/ready` (it can serve). It runs before the limiter: probes never wait.
 */
export function health({
  appName,
  readiness,
  isLeaving,
  degraded = () => [],
  jobs,
  unready,
  probes,
}: HealthOptions): Koa.Middleware {
  const { health: alivePath, ready: readyPath } = probePaths(probes);
  // Concurrent probes share one round of checks.
  let round: Promise<Failing[]> | undefined;
  const failing = () => {
    round ??= findFailing(readiness).finally(() => {
      round = undefined;
    });
    return round;
  };

  return (ctx, next) => (ctx.path === alivePath || ctx.path === readyPath ? answer(ctx) : next());

  async function answer(ctx: Koa.Context): Promise<void> {
    ctx.internal = true;
    const headers = { Allow: HEALTH_METHODS.join(', ') };
    if (!HEALTH_METHODS.includes(ctx.method)) throw new ProblemError(405, { headers });
    ctx.set('Cache-Control', 'no-store');
    if (ctx.method === 'OPTIONS') {
      ctx.set(headers);
      ctx.status = 204;
      return;
    }
    const asksReady = ctx.path === readyPath;
    const away = asksReady ? await assertReady() : [];
    const missing = asksReady ? await degraded() : [];
    const standstill = asksReady ? standstillOfJobs() : undefined;
    // The status stays 200: a router must not take the web out of service because jobs are stalled, or Redis is away.
    const broken = [...(standstill ? ['jobs'] : []), ...[...away, ...missing].map(({ name }) => name)];
    const reasons = [standstill?.reason ?? [], away.length > 0 ? await describeCauses(away) : []].flat();
    const advice = missing.flatMap(({ advice: text }) => text ?? []);
    ctx.body = {
      status: broken.length > 0 ? 'degraded' : 'ok',
      app: appName,
      ...(broken.length > 0 && { broken }),
      ...(advice.length > 0 && { advice }),
      ...standstill,
      ...(reasons.length > 0 && { reason: reasons.join('; ') }),
    };
  }

  function standstillOfJobs():
    | { readonly jobs: 'stalled'; readonly reason: string; readonly oldestDueSeconds?: number }
    | undefined {
    const { running = true, stalled = null, oldestDueS = null } = jobs?.() ?? {};
    const reason = stalled ?? (running ? undefined : 'the job processor is not running');
    if (reason === undefined) return undefined;
    return { jobs: 'stalled', reason, ...(oldestDueS !== null && { oldestDueSeconds: oldestDueS }) };
  }

  /** @returns the optional services that do not answer. */
  async function assertReady(): Promise<readonly Failing[]> {
    if (isLeaving()) throw notReady('This process is shutting down.', []);
    const all = await failing();
    const down = all.filter(({ isOptional }) => !isOptional);
    if (down.length > 0) {
      const names = down.map(({ name }) => name);
      throw notReady(`Not answering: ${names.join(', ')}.`, names, await describeCauses(down));
    }
    const reason = await unready?.();
    if (reason !== undefined) throw notReady(reason, ['start']);
    return all;
  }
}

function notReady(detail: string, down: readonly string[], reason?: string): ProblemError {
  const extensions = { down, ...(reason !== undefined && { reason }) };
  return new ProblemError(503, { detail, extensions, headers: { 'Retry-After': '2' } });
}

interface Failing {
  readonly name: string;
  /** undefined if there was no answer in time. */
  readonly error: Error | undefined;
  readonly isOptional: boolean;
}

async function findFailing(checks: readonly ReadinessCheck[]): Promise<Failing[]> {
  const found = await Promise.all(checks.map((one) => runCheck(one)));
  return found.filter((one) => one !== null);
}

function runCheck({ name, check, isOptional = false }: ReadinessCheck): Promise<Failing | null> {
  const answer = async (): Promise<Failing | null> => {
    try {
      await check();
      return null;
    } catch (thrown) {
      return { name, error: toError(thrown), isOptional };
    }
  };
  return valueWithin(answer(), ANSWER_MS, { name, error: undefined, isOptional });
}

/** A server's own message is left out, since it may name users and hosts. */
async function describeCauses(down: readonly Failing[]): Promise<string> {
  // Loaded on demand, since it is needed only when a check fails.
  const { causeOf, causeText } = await import('../core/failure-cause');
  return down.map(({ name, error }) => `${name}: ${causeText(error ? causeOf(error) : 'noAnswer')}`).join('; ');
}
