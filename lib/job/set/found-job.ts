/** A job as a set holds it. */
export interface FoundJob {
  readonly id: string;
  readonly queue: string;
  /** When it died, or will run, ms since 1970; 0 where there is no such time. */
  readonly score: number;
  /** undefined: the set names a job that has no record. */
  readonly text: string | undefined;
  /** SHA-1 of the text as Redis holds it, '' without one. */
  readonly sha: string;
  /** JSON, as a run noted it last. */
  readonly progress: string | undefined;
}

/** Values of a job in a script's reply: number of its queue, id, score, record, SHA-1, progress. */
const WIDTH = 6;

export function foundJobs(queues: readonly string[], reply: readonly (string | number)[]): FoundJob[] {
  const jobs: FoundJob[] = [];
  for (let i = 0; i + WIDTH <= reply.length; i += WIDTH) {
    const [queue, id = '', score, text, sha = '', progress] = reply.slice(i, i + WIDTH).map(String);
    jobs.push({
      id,
      queue: queues[Number(queue) - 1] ?? '',
      score: Number(score),
      text: sha ? text : undefined,
      sha,
      progress: progress || undefined,
    });
  }
  return jobs;
}
