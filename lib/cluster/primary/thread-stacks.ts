import { type Deadline, valueWithin } from '../../support/deadline';
import type { ThreadStack } from '../status';
import { NO_ANSWER } from './child-inspector';
import type { InspectorSession } from './inspector-session';

const NAME = 'catamount-stack';
/** Evaluated on top of what runs, so that its stack leads there. Node puts the sources' lines in, if it maps those of errors. */
const STACK = `(() => {
  const { prepareStackTrace, stackTraceLimit } = Error;
  Error.prepareStackTrace = undefined;
  Error.stackTraceLimit = 100;
  try { return new Error().stack; }
  finally { Object.assign(Error, { prepareStackTrace, stackTraceLimit }); }
})() //# sourceURL=${NAME}`;
/** Frames of the evaluation itself: with async hooks Node calls it by one of its own. */
const OWN = new RegExp(`${NAME}|process\\.callbackTrampoline \\(node:`);
/** Node's own work: a thread that waits may be caught in it, for example in telling its process that the inspector is open. */
const NODES_OWN = /\(node:/;
/** What the main thread leaves of the time for the others. */
const MAIN_PART = { reserveMs: 300, reserveShare: 1 / 2 };

/**
 * Reads the stacks of all threads that run JavaScript other than Node's own.
 * @throws (rejects) if the main thread does not answer in time.
 */
export async function readThreads(session: InspectorSession, deadline: Deadline): Promise<readonly ThreadStack[]> {
  const others: Promise<ThreadStack>[] = [];
  const answered = new Map<unknown, (message: unknown) => void>();
  session.onEvent = (method, params) => {
    const { sessionId } = params;
    if (method === 'NodeWorker.receivedMessageFromWorker') answered.get(sessionId)?.(params.message);
    if (method !== 'NodeWorker.attachedToWorker') return;
    const name = `thread ${(params.workerInfo as { readonly workerId: string }).workerId}`;
    const answer = new Promise((resolve) => answered.set(sessionId, resolve));
    others.push(
      answer.then((text) => threadOf(name, (JSON.parse(String(text)) as { readonly result: unknown }).result)),
    );
    const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: STACK } });
    void session.ask('NodeWorker.sendMessageToWorker', { sessionId, message });
  };
  // Asked together: both are answered by one interruption. That of the second comes after the news of its threads.
  const main = session.ask('Runtime.evaluate', { expression: STACK });
  const asked = session.ask('NodeWorker.enable', { waitForDebuggerOnStart: false });
  const answer = await valueWithin(main, deadline.part(MAIN_PART).remaining(), undefined);
  if (answer === undefined) throw new Error(NO_ANSWER);
  await valueWithin(asked, deadline.remaining() / 2, undefined);
  const left = deadline.remaining() / 2;
  const stacks = await Promise.all([
    threadOf('main thread', answer),
    ...others.map((thread) => valueWithin(thread, left, undefined)),
  ]);
  return stacks.filter((thread) => thread !== undefined).filter(({ frames }) => frames.length > 0);
}

/** @param evaluated the result of `Runtime.evaluate`. */
function threadOf(thread: string, evaluated: unknown): ThreadStack {
  const { value } = (evaluated as { readonly result: { readonly value?: unknown } }).result;
  const frames = String(value)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('at ') && !OWN.test(line));
  return { thread, frames: frames.every((frame) => NODES_OWN.test(frame)) ? [] : frames };
}
