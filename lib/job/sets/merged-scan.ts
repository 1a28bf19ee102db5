import { compareText } from '../../support/text';
import type { FoundJob, ScanStep, ScanStepResult, SetScanner } from './scan';
import type { ScanPosition } from './scan-script';

/**
 * Merges the scans of several servers into one, ordered by time, queue and id. That order is certain only as far as
 * every server has been scanned, so a step ends there.
 * @param count counts what a scan finds.
 */
export function mergedScanner(
  scanners: readonly SetScanner<ScanPosition>[],
  { newestFirst }: { readonly newestFirst: boolean },
  count: (scanner: SetScanner<ScanPosition>) => Promise<{ readonly total: number }>,
): SetScanner<ScanPosition> {
  const sign = newestFirst ? -1 : 1;
  // As in the script, jobs with the same time are ordered by the names of their queues in either direction.
  const compare = (a: ScanPosition, b: ScanPosition) =>
    sign * (a.score - b.score) || compareText(a.queue, b.queue) || sign * compareText(a.id, b.id);
  return {
    step: (step) => mergedStep(scanners, step, compare),
    positionOf: ({ score, queue, id }) => ({ score, queue, id }),
    size: async () => {
      const counts = await Promise.all(scanners.map(count));
      return counts.reduce((sum, { total }) => sum + total, 0);
    },
  };
}

async function mergedStep(
  scanners: readonly SetScanner<ScanPosition>[],
  { after, skip, limit }: ScanStep<ScanPosition>,
  compare: (a: ScanPosition, b: ScanPosition) => number,
): Promise<ScanStepResult<ScanPosition>> {
  const wanted = skip + limit;
  const steps = await Promise.all(
    scanners.map((scanner) => scanner.step({ after, skip: 0, limit: wanted, counting: false })),
  );
  const ends = steps.flatMap(({ done, position }) => (done ? [] : [position]));
  // While a server has not passed any job yet, nothing after `after` is certain.
  const known = ends.flatMap((position) => position ?? []);
  const end = known.length < ends.length ? after : known.sort(compare)[0];
  const isCertain = (job: FoundJob) => ends.length === 0 || (end !== undefined && compare(job, end) <= 0);
  const jobs = steps
    .flatMap((step) => step.jobs)
    .filter(isCertain)
    .sort(compare);
  const taken = jobs.slice(0, wanted);
  const last = taken.at(-1);
  const isCut = jobs.length > wanted;
  return {
    matched: taken.length,
    scanned: steps.reduce((sum, { scanned }) => sum + scanned, 0),
    done: ends.length === 0 && !isCut,
    position: isCut ? last : (end ?? after),
    jobs: taken.slice(skip),
  };
}
