import type { JobRun, PerformMiddleware } from '../setup';

type Work = () => Promise<void>;

/** Runs `work` inside all of them, the first one outermost. A middleware that does not call `next` skips the rest. */
export async function runThrough(middleware: readonly PerformMiddleware[], run: JobRun, work: Work): Promise<void> {
  const enter = (index: number): Promise<void> => {
    const layer = middleware[index];
    if (!layer) return work();
    return around(
      (next) => layer(run, next),
      () => enter(index + 1),
      `the perform middleware ${layer.name || index + 1}`,
    );
  };
  await enter(0);
}

/**
 * Runs `layer` around `inner`, and holds on until both have ended: else a job would count as done while it still runs.
 * @param name of the layer, for errors.
 * @throws Error when the layer ends before what it began, or begins it twice.
 */
export async function around(layer: (next: Work) => unknown, inner: Work, name: string): Promise<void> {
  let begun: Promise<void> | undefined;
  let ended = false;
  const end = () => {
    ended = true;
  };
  await layer(() => {
    if (begun) return Promise.reject(new Error(`${name} called next() twice`));
    begun = inner();
    begun.then(end, end);
    return begun;
  });
  if (!begun || ended) return;
  await (begun as Promise<void>).catch(() => undefined);
  throw new Error(`${name} did not await next()`);
}
