import assert from 'node:assert/strict';
import { RequestReply } from '../../lib/support/request-reply';
import { WAIT_LIMIT_MS } from './wait-limit';

describe('requests and their replies', () => {
  const make = () => {
    const sent: (readonly [id: number, request: string])[] = [];
    const requests = new RequestReply<string, string>((id, request) => sent.push([id, request]));
    const idOf = (text: string) => sent.find(([, request]) => request === text)?.[0] ?? 0;
    return { requests, sent, idOf };
  };
  const limit = { ms: WAIT_LIMIT_MS, onLate: () => new Error('late') };

  it('are matched by their id, in whatever order the replies come', async () => {
    const { requests, idOf } = make();
    const [a, b] = [requests.ask('a', limit), requests.ask('b')];
    requests.settle(idOf('b'), 'to b');
    requests.settle(idOf('a'), new Error('no'));
    assert.equal(await b, 'to b');
    await assert.rejects(a, /^Error: no$/);
  });

  it('fail without a reply in time, and a late reply goes to no other request', async () => {
    const { requests, idOf } = make();
    await assert.rejects(requests.ask('slow', { ms: 0, onLate: () => new Error('not in time') }), /not in time/);
    requests.settle(idOf('slow'), 'at last');
    const next = requests.ask('next', limit);
    requests.settle(idOf('slow'), 'at last');
    requests.settle(idOf('next'), 'to next');
    assert.equal(await next, 'to next');
  });

  it('all fail when the other process is gone', async () => {
    const { requests } = make();
    const asked = [requests.ask('a', limit), requests.ask('b')];
    requests.failAll(() => new Error('gone'));
    for (const one of asked) await assert.rejects(one, /gone/);
  });

  it('fail when the request cannot be sent', async () => {
    const requests = new RequestReply<string, string>(() => {
      throw new Error('no channel');
    });
    await assert.rejects(requests.ask('a', limit), /no channel/);
  });
});
