/**
 * The only file that imports bee-queue. It uses a private part: the script by which plain producers' delayed jobs become due.
 * So bee-queue is pinned to 2.0.0. The ids of our jobs travel in the same lists (`job/hint/keys`).
 */
const lua = require('bee-queue/lib/lua') as {
  readonly scripts: Readonly<Record<string, string>>;
  buildCache(client: { script(verb: string, text: string, done: BeeCallback): void }): Promise<unknown>;
};

type BeeCallback = (error: Error | null, reply?: unknown) => void;

/**
 * bee-queue's script that moves delayed jobs which are due to `waiting`. It is read from disk and not sent to Redis.
 * Keys: `delayed`, `waiting`. Arguments: now (ms), and a window (ms). Reply: how many, and the time of the next (ms) or -1.
 */
export async function raiseDelayedScript(): Promise<string> {
  await lua.buildCache({ script: (_verb, _text, done) => done(null, [1]) });
  return lua.scripts.raiseDelayedJobs ?? '';
}
