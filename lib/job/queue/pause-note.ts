/** Since when a queue is paused, and by whom. */
export interface Pause {
  readonly since: Date;
  readonly by: string;
}

/** What Redis holds in `paused` of a queue. */
export function writePause({ since, by }: Pause): string {
  return `${since.getTime()} ${by}`;
}

/** @param now stands in for a time that somebody else's note does not tell, ms since 1970. */
export function readPause(note: string, now: number): Pause {
  const [, since, by] = /^(\d{1,15}) (.+)$/s.exec(note) ?? [];
  return { since: new Date(Number(since ?? now)), by: by ?? 'unknown' };
}
