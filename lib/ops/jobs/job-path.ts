/** The page of a job. In a file of its own, since pages of other folders lead there that load nothing of jobs. */
export function jobPath({ queue, id }: { readonly queue: string; readonly id: string }): string {
  return `/ops/jobs/job/${encodeURIComponent(queue)}/${encodeURIComponent(id)}`;
}
