import assert from 'node:assert/strict';
import type { Line } from '../support/output';
import type { LoggedJob } from './mail-ledger';

/** A kill counts as done a little after it is, ms. */
const CLOCK_MS = 5;

/**
 * The server took a mail, and the processor was killed before it had written that down: the one gap that SMTP leaves. The
 * kill meant is the next after the mail, since that one ends the processor that has sent it.
 * @param kills when a processor was killed, as `performance.now()`. @param recorded lines that tell of a mail that was sent.
 * @param lateMs how late this process, which is the mail server as well, has been at most to read what had come.
 * @returns how long after the first mail each of them was killed, ms. @throws AssertionError for any other double.
 */
export function explainDoubles(
  mails: ReadonlyMap<string, readonly LoggedJob[]>,
  kills: readonly number[],
  recorded: readonly Line[],
  lateMs: number,
): number[] {
  return [...mails.values()].flatMap((got) =>
    got.slice(1).map((second, index) => {
      const first = got[index];
      assert.ok(first && first.messageId === second.messageId, `two different mails to ${second.to}`);
      const what = `${second.to} got ${second.messageId} twice, ${Math.round(second.at - first.at)} ms apart`;
      const told = recorded.filter(({ text }) => text.includes(second.messageId)).length;
      assert.ok(told < got.length, `${what}, after it had been recorded`);
      const kill = kills.find((at) => at > first.at - lateMs - CLOCK_MS);
      assert.ok(kill !== undefined && kill < second.at, `${what}, and no processor was killed between`);
      return Math.round(kill - first.at);
    }),
  );
}
