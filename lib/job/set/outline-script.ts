import type { RedisClient } from '../../core/redis';
import type { JobOutline, Outlines } from './outline';
import { type Position, runWalk, type Walk, walkScript } from './walk-script';

/** Jobs in one reply. */
const CHUNK = 1000;

// Class, as JSON has it between its quotes; runs that failed; name of the latest error.
const SCRIPT = walkScript(`
local function describe(text)
  if not text then return '', '', '' end
  local class = string.match(text, '^{"data":{"v":%d+,"class":"(.-)","args":%[')
  if not class then
    work = work + PARSED
    local name = field(field(parse(text), 'data'), 'class')
    class = type(name) == 'string' and string.sub(cjson.encode(name), 2, -2) or ''
  end
  local o = find(text, '},"options":{"timestamp":', 1, true) or 1
  return class, string.match(text, '"attempts":(%d+)', o) or '', string.match(text, '"stacktraces":%["([%w_$.]+)', o) or ''
end`);

/** The first jobs of a walk, in its order. @param limit at most so many. */
export async function readOutlines(client: RedisClient, walk: Walk, limit: number): Promise<Outlines> {
  const jobs: JobOutline[] = [];
  let after: Position | undefined;
  let done = false;
  while (!done && jobs.length < limit) {
    const step = { after, skip: 0, limit: Math.min(CHUNK, limit - jobs.length), counting: false };
    const stretch = await runWalk(SCRIPT, client, walk, step);
    for (let i = 0; i + 5 < stretch.values.length; i += 6) jobs.push(outline(walk, stretch.values, i));
    after = stretch.position;
    done = stretch.done;
  }
  return { jobs, complete: done };
}

function outline({ queues }: Walk, values: readonly (string | number)[], start: number): JobOutline {
  const [queue, id, at, name, attempts, error] = values.slice(start, start + 6);
  return {
    id: String(id),
    queue: queues[Number(queue) - 1] ?? '',
    at: Number(at),
    class: name ? className(String(name)) : undefined,
    error: error ? String(error) : undefined,
    attempts: Number(attempts) || 0,
  };
}

/** undefined: it was cut out of a record that is none. */
function className(json: string): string | undefined {
  try {
    return String(JSON.parse(`"${json}"`));
  } catch {
    return undefined;
  }
}
