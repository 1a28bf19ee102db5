import assert from 'node:assert/strict';
import type { Line } from '../support/output';
import type { ReceivedMail } from './mail-ledger';

/**
 * Accepts a mail that arrived twice only if the processor was killed after it had begun to send it and before that was
 * recorded: the one gap that SMTP leaves. The next kill after the mail counts, since it ends the processor that sent it.
 * @param kills times just after a processor was killed, as `performance.now()` of this process, which is also the mail server.
 * @param recorded log lines of sent mails.
 * @returns for each double, how long after the first mail the kill was, ms. @throws AssertionError for any other double.
 */
export function explainDoubles(
  mails: ReadonlyMap<string, readonly ReceivedMail[]>,
  kills: readonly number[],
  recorded: readonly Line[],
): number[] {
  return [...mails.values()].flatMap((got) =>
    got.slice(1).map((second, index) => {
      const first = got[index];
      assert.ok(first && first.messageId === second.messageId, `two different mails to ${second.to}`);
      const what = `${second.to} got ${second.messageId} twice, ${Math.round(second.at - first.at)} ms apart`;
      const told = recorded.filter(({ text }) => text.includes(second.messageId)).length;
      assert.ok(told < got.length, `${what}, after it had been recorded`);
      const kill = kills.find((at) => at > first.begunAt);
      assert.ok(kill !== undefined && kill < second.at, `${what}, and no processor was killed between`);
      return Math.round(kill - first.begunAt);
    }),
  );
}
