import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { deleteDueRow, isUuid } from '../outbox/table';
import { keyPrefix, queueKey, RECALL_LUA } from '../queue/keys';
import { describeJob, type JobEntry, markersOf } from './entry';
import { FILTER_LUA } from './filter-script';
import { ANY, completeRows, moveJobs } from './move-script';
import {
  checkBounds,
  checkFilter,
  checkRef,
  isFiltering,
  type JobFilter,
  type JobPage,
  type JobRef,
  luaFilter,
  type PageRequest,
  readCursor,
  type SetSources,
  writeCursor,
} from './query';
import {
  countScan,
  type FoundJob,
  foundJobs,
  type ScanStep,
  type ScanStepResult,
  type SetScanner,
  scanPage,
} from './scan';

/** The jobs of one queue that wait to be fetched, next first. */
export class WaitingList {
  constructor(
    private readonly sources: SetSources,
    readonly queue: string,
  ) {}

  /** @param request its `queue` is ignored. @throws InvalidRequestError. */
  async page(request: PageRequest = {}): Promise<JobPage> {
    const bounds = checkBounds(request);
    const after = request.after === undefined ? undefined : readCursor('waiting', request.after).id;
    const { jobs, total, complete, next } = await scanPage(this.scanner(request), bounds, after);
    return {
      entries: jobs.map((job) => this.describe(job)),
      total,
      complete,
      next: next === undefined ? undefined : writeCursor('waiting', { score: 0, queue: this.queue, id: next }),
    };
  }

  /** @throws InvalidRequestError. */
  async count(filter: JobFilter = {}): Promise<number> {
    return (await countScan(this.scanner(filter))).total;
  }

  /**
   * Deletes a waiting job, also one that is due and still in the outbox.
   * @returns false when it is not, or no longer, waiting here. @throws InvalidRequestError.
   */
  async delete(ref: JobRef): Promise<boolean> {
    const { knex, events, via } = this.sources;
    const { id } = checkRef(ref);
    const deleted = (await this.deleteHere(id)) || (isUuid(id) && (await deleteDueRow(knex, this.queue, id)));
    if (deleted) events.emit('operator.jobs', { action: 'delete', set: 'waiting', count: 1, via });
    return deleted;
  }

  private async deleteHere(id: string): Promise<boolean> {
    const { queue } = this;
    const { redis } = this.sources;
    const text = (await redis.hGet(queueKey(queue, 'jobs'), id)) ?? undefined;
    const job = { id, queue, sha: ANY, record: undefined, markers: markersOf(text) };
    const [state] = await moveJobs(redis, { from: 'waiting', to: 'delete' }, [job]);
    if (state !== 'moved') return false;
    if (job.markers.includes('f')) await completeRows(this.sources, [job]);
    return true;
  }

  private scanner(request: JobFilter): SetScanner<string> {
    const checked = checkFilter({ ...request, queue: undefined });
    return waitingScanner(this.sources.redis, this.queue, isFiltering(checked) ? luaFilter(checked) : '');
  }

  private describe({ id, text, progress }: FoundJob): JobEntry {
    return describeJob({ id, queue: this.queue, set: 'waiting', at: undefined, text, progress });
  }
}

const ANSWER_MS = 5000;

/** Bounds of one call, as in scan-script.ts. */
const WORK = 1500;
const IDS = 5000;

// One bounded pass of a scan over a queue. The next job, which is the last of the list, comes first.
// KEYS  1 queue prefix
// ARGV  1 filter or ""  2 id or ""  3 skip  4 limit  5 "1" = counting  6 work  7 ids
// reply { matched, scanned, "1" when done, id of the last one seen, then per job: 1, id, 0, record, its SHA-1, progress }
const SCRIPT = new RedisScript(`
local call, p = redis.call, KEYS[1]
local F = ARGV[1] ~= '' and cjson.decode(ARGV[1])
${FILTER_LUA}
${RECALL_LUA}
local last, skip, limit, counting = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local budget, ids = tonumber(ARGV[6]), tonumber(ARGV[7])
local enough = counting and math.huge or skip + limit
if call('exists', p..'offered') == 1 then recall(p) end
local at = last ~= '' and call('lpos', p..'waiting', last, 'rank', -1)
at = (at or call('llen', p..'waiting')) - 1

local out, matched, scanned, items, i = {}, 0, 0, {}, 0
while at >= 0 and work < budget and scanned < ids and matched < enough do
  if i == 0 then
    items = call('lrange', p..'waiting', math.max(0, at - 199), at)
    i = #items
  end
  local id, text = items[i], nil
  at, i, last, scanned = at - 1, i - 1, id, scanned + 1
  if F then text = call('hget', p..'jobs', id) end
  if not F or matches(id, text) then
    matched = matched + 1
    if matched > skip and matched <= skip + limit then
      if not F then text = call('hget', p..'jobs', id); work = work + 1 + #(text or '') / 1500 end
      for _, value in ipairs({ 1, id, 0, text or '', text and redis.sha1hex(text) or '', call('hget', p..'progress', id) or '' }) do
        out[#out + 1] = value
      end
    end
  end
end
local reply = { matched, scanned, at < 0 and '1' or '0', last }
for _, value in ipairs(out) do reply[#reply + 1] = value end
return reply`);

/**
 * Scans a queue; a position is a job's id. When that job has left the queue, so have all before it, and the scan
 * continues at the head.
 * @param filter the JSON of `luaFilter`; '' when records need not be read.
 */
function waitingScanner(client: RedisClient, queue: string, filter: string): SetScanner<string> {
  return {
    step: (step) => waitingStep(client, queue, filter, step),
    positionOf: (job) => job.id,
    size: filter === '' ? () => answerWithin(ANSWER_MS, client.lLen(queueKey(queue, 'waiting'))) : undefined,
  };
}

async function waitingStep(
  client: RedisClient,
  queue: string,
  filter: string,
  { after = '', skip, limit, counting }: ScanStep<string>,
): Promise<ScanStepResult<string>> {
  const args = [filter, after, ...[skip, limit, counting ? 1 : 0, WORK, IDS].map(String)];
  const reply = (await SCRIPT.run(client, [keyPrefix(queue)], args)) as (string | number)[];
  const [matched, scanned, done, last] = reply;
  return {
    matched: Number(matched),
    scanned: Number(scanned),
    done: done === '1',
    position: String(last) || undefined,
    jobs: foundJobs([queue], reply.slice(4)),
  };
}
