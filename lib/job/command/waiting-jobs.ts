import { readCursor, writeCursor } from '../set/cursor';
import type { JobEntry } from '../set/entry';
import type { JobSets } from '../set/job-sets';
import { checkBounds, type JobPage, type PageRequest } from '../set/page';

const SET = 'waiting';

/**
 * What waits in several queues as one list: queue by queue, the next job of each first.
 * @throws InvalidRequestError.
 */
export async function waitingPage(sets: JobSets, queues: readonly string[], request: PageRequest): Promise<JobPage> {
  const { offset, limit } = checkBounds(request);
  const start = request.after === undefined ? undefined : readCursor(SET, request.after);
  const from = start ? Math.max(0, queues.indexOf(start.queue)) : 0;
  const entries: JobEntry[] = [];
  let [skip, total, complete, next] = [offset, 0, true, undefined as string | undefined];
  for (const [index, queue] of queues.entries()) {
    const list = sets.waiting(queue);
    const room = index < from || next !== undefined ? 0 : limit - entries.length;
    // The cursor of a queue that was not begun has no id.
    const after = index === from && start?.id !== NOT_BEGUN ? request.after : undefined;
    if (room === 0) {
      const count = await list.count(request);
      total += count;
      if (index >= from && count > 0) next ??= writeCursor(SET, { score: 0, queue, id: NOT_BEGUN });
      continue;
    }
    const page = await list.page({ ...request, offset: skip, limit: room, after });
    const count = page.total ?? 0;
    total += count;
    complete &&= page.complete;
    skip = Math.max(0, skip - count);
    entries.push(...page.entries);
    next = page.next;
  }
  return { entries, total, complete, next };
}

const NOT_BEGUN = '';
